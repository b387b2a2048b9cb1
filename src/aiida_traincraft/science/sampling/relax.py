"""Sampler ``relax``: frames along a relaxation."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS, FIRE
from pydantic import Field

from aiida_traincraft.science.config.kinds import SamplerConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.sampling import SamplingRun, Watch
from aiida_traincraft.science.sampling.observer import Observer
from aiida_traincraft.science.sampling.recording import breaking, due, require_calculator
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.workspace import Workspace

OPTIMIZERS = {'bfgs': BFGS, 'fire': FIRE}


class RelaxConfig(SamplerConfig):
    """Frames on the way from the start to a minimum of the energy."""

    aliases: ClassVar[tuple[str, ...]] = ('optimize', 'optimise', 'minimize', 'bfgs', 'fire')
    needs_calculator: ClassVar[bool] = True
    type: Literal['relax'] = 'relax'
    optimizer: Literal['bfgs', 'fire'] = 'bfgs'
    """Method: BFGS takes fewer steps, FIRE is more robust far from the minimum."""
    fmax: float = Field(default=0.05, gt=0)
    """The relaxation ends when the force on every atom (eV/Å) is below this; with ``cell`` also the stress times the
    volume per atom (eV)."""
    steps: int = Field(default=200, ge=1, le=100_000)
    """Largest number of steps."""
    interval: int = Field(default=5, ge=1)
    """Every so many steps a frame is kept, besides the start and the end; an exploration, which keeps frames by their
    uncertainty, ignores it."""
    cell: bool = False
    """Whether the cell relaxes too, to zero pressure."""
    min_distance: float = Field(default=0.5, ge=0)
    """The run ends when two atoms are closer than this fraction of the sum of their covalent radii."""

    @property
    def stress_key(self) -> str | None:
        """Key that asks for the stress."""
        return 'cell' if self.cell else None


@register('sampler', 'relax', RelaxConfig)
def relax(
    structure: Structure,
    calculator: Any,
    workspace: Workspace | None,
    config: RelaxConfig,
    rng: np.random.Generator,
    watch: Watch | None,
) -> SamplingRun:
    """Relaxation by BFGS or FIRE; nothing in it is random.

    A relaxation that has not converged after ``steps`` ends as ``finished`` too; the provenance of every frame has its
    largest force ``fmax`` (eV/Å).

    Raises
    ------
    ValueError
        If there is no calculator, one without uncertainties though they are to be watched, or the cell shall relax
        and is not periodic in all directions.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "crystal"
        name = "Cu"
        cubic = true

        [[transforms]]
        type = "perturb"
        stdev = 0.2

        [calculator]
        type = "emt"

        [sampling]
        type = "relax"
        cell = true
        interval = 2
    """
    require_calculator(calculator, watch, 'relax')
    if config.cell and not structure.atoms.pbc.all():
        raise ValueError('"cell" = true needs a cell that is periodic in all directions')
    run = SamplingRun()
    observer = Observer(run, structure, watch, config.min_distance)
    atoms = structure.atoms.copy()
    atoms.calc = calculator
    with breaking(run, calculator, watch):
        optimizer = OPTIMIZERS[config.optimizer](FrechetCellFilter(atoms) if config.cell else atoms, logfile=None)
        for converged in optimizer.irun(fmax=config.fmax, steps=config.steps):
            step = optimizer.nsteps
            last = bool(converged) or step >= config.steps
            largest = float(np.linalg.norm(atoms.get_forces(), axis=1).max())
            wanted = last or due(step, config.interval)
            if not observer.see(atoms, step, wanted, {'fmax': round(largest, 4)}, last):
                break
    return run
