"""Sampler ``contour``: walk along a contour of the potential energy."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from ase.md.contour_exploration import ContourExploration
from pydantic import Field, model_validator

from aiida_traincraft.science.config.kinds import SamplerConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.sampling import SamplingRun, Watch
from aiida_traincraft.science.sampling.observer import Observer
from aiida_traincraft.science.sampling.recording import breaking, require_calculator
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.workspace import Workspace


class ContourConfig(SamplerConfig):
    """A walk on which the potential energy stays at a chosen value."""

    needs_calculator: ClassVar[bool] = True
    type: Literal['contour'] = 'contour'
    stdev: float = Field(default=0.1, gt=0, le=1)
    """Standard deviation of the random displacements (Å) that the walk begins with: without forces there is no
    contour."""
    energy: float | None = Field(default=None, gt=0)
    """Potential energy above that of the start (eV/atom); without, that of the displaced start."""
    max_step: float = Field(default=0.5, gt=0, le=5)
    """Largest length of a step, all displacements taken as one vector (Å)."""
    angle_limit: float = Field(default=20.0, gt=0, lt=90)
    """Steps are so short that the direction changes by less than this (degrees)."""
    drift: float = Field(default=0.1, ge=0, lt=1)
    """Part of a step that goes along the contour in a random direction (no unit)."""
    steps: int = Field(default=200, ge=1)
    """Steps."""
    n: int = Field(default=10, ge=1)
    """Frames, evenly spaced; an exploration, which keeps frames by their uncertainty, ignores it."""
    min_distance: float = Field(default=0.5, ge=0)
    """The run ends when two atoms are closer than this fraction of the sum of their covalent radii."""

    @model_validator(mode='after')
    def _consistent(self) -> ContourConfig:
        if self.n > self.steps:
            raise ValueError(f'"n" ({self.n} frames) is larger than "steps" ({self.steps})')
        return self


@register('sampler', 'contour', ContourConfig)
def contour(
    structure: Structure,
    calculator: Any,
    workspace: Workspace | None,
    config: ContourConfig,
    rng: np.random.Generator,
    watch: Watch | None,
) -> SamplingRun:
    """Contour exploration: different structures of the same potential energy, by large steps.

    See Waters and Rondinelli, npj Comput. Mater. 7, 154 (2021); no ensemble is sampled.

    Raises
    ------
    ValueError
        If there is no calculator, one without uncertainties though they are to be watched, one without the energy that
        the forces derive from (``free_energy``), or there is one atom only.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "crystal"
        name = "Cu"
        cubic = true

        [calculator]
        type = "emt"

        [sampling]
        type = "contour"
        energy = 0.1
        steps = 50
        n = 5
    """
    require_calculator(calculator, watch, 'contour')
    if 'free_energy' not in calculator.implemented_properties:
        raise ValueError(f'sampler "contour" needs the "free_energy" of ASE, which {type(calculator).__name__} lacks')
    if len(structure) < 2:
        raise ValueError('sampler "contour" needs two atoms or more')
    run = SamplingRun()
    observer = Observer(run, structure, watch, config.min_distance)
    spaced = {round(config.steps * k / config.n) for k in range(1, config.n + 1)}
    atoms = structure.atoms.copy()
    atoms.set_velocities(np.zeros_like(atoms.positions))
    atoms.calc = calculator
    with breaking(run, calculator, watch):
        ground = atoms.get_potential_energy()
        atoms.positions += rng.normal(scale=config.stdev, size=atoms.positions.shape)
        target = atoms.get_potential_energy() if config.energy is None else ground + config.energy * len(atoms)
        walk = ContourExploration(
            atoms,
            maxstep=config.max_step,
            parallel_drift=config.drift,
            energy_target=target,
            angle_limit=config.angle_limit,
            remove_translation=True,
            rng=rng,
        )
        for step in range(config.steps + 1):
            if step:
                walk.step()
            if not observer.see(atoms, step, step in spaced, {}, last=step == config.steps):
                break
    return run
