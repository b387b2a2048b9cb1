"""Sampler ``rattle``: random displacements and strains."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from pydantic import Field, model_validator

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.atoms.distances import minimum_distance
from aiida_traincraft.science.config.kinds import SamplerConfig
from aiida_traincraft.science.geometry.transforms.strain import Component, deform, random_strain
from aiida_traincraft.science.optional import require
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.sampling import SamplingRun, Watch
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.workspace import Workspace

MAX_TRIES = 100


class RattleConfig(SamplerConfig):
    """Independent random displacements and strains of the start."""

    needs_calculator: ClassVar[bool] = False
    type: Literal['rattle'] = 'rattle'
    n: int = Field(default=10, ge=1)
    """Frames."""
    stdev: float = Field(default=0.05, ge=0, le=10)
    """Standard deviation of each Cartesian displacement (Å)."""
    strain: float = Field(default=0.0, ge=0, lt=0.5)
    """Each of the six components of a random strain is uniform in [-strain, strain]."""
    volumetric_strain: tuple[Component, Component] | None = None
    """Range of a random relative change of the volume, [smallest, largest]."""
    linear_strain: tuple[Component, Component] | None = None
    """The same of all lengths; one of the two."""
    min_distance: float = Field(default=0.6, ge=0)
    """Frames with two atoms closer than this fraction of the sum of their covalent radii are drawn again."""
    method: Literal['standard', 'mc'] = 'standard'
    """Independent displacements, or many small moves of one atom each that avoid short distances (Monte Carlo)."""
    closest: float | None = Field(default=None, gt=0, le=10)
    """Distance (Å) below which moves of ``mc`` are mostly refused: a little less than the shortest of the start."""
    cycles: int = Field(default=10, ge=1, le=1000)
    """Moves of every atom in ``mc``; the displacements grow as its square root times ``stdev``."""

    @model_validator(mode='after')
    def _range(self) -> RattleConfig:
        if (self.method == 'mc') != (self.closest is not None):
            raise ValueError('"closest" (Å) goes with method = "mc", and that needs it')
        if self.volumetric_strain is not None and self.linear_strain is not None:
            raise ValueError('"volumetric_strain" and "linear_strain" say the same: give one of them')
        for name in ('volumetric_strain', 'linear_strain'):
            strain = getattr(self, name)
            if strain is not None and strain[0] > strain[1]:
                raise ValueError(f'"{name}" must be [smallest, largest], not {list(strain)}')
        return self


@register('sampler', 'rattle', RattleConfig)
def rattle(
    structure: Structure,
    calculator: Any,
    workspace: Workspace | None,
    config: RattleConfig,
    rng: np.random.Generator,
    watch: Watch | None,
) -> SamplingRun:
    """Random displacements and strains; needs no calculator.

    Method ``mc`` is the Monte Carlo rattle of hiPhive (Eriksson, Fransson and Erhart, Adv. Theory Simul. 2, 1800184
    (2019)): the move of an atom to a distance d from its nearest neighbour is accepted with a probability that rises
    from 0 to 1 about ``closest``.

    Raises
    ------
    ValueError
        If a frame stays too dense in 100 tries, or ``mc`` finds no allowed place for an atom.
    MissingLibraryError
        If hiPhive is not installed; ``mc`` only.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "crystal"
        name = "NaCl"
        crystalstructure = "rocksalt"
        a = 5.64
        cubic = true

        [sampling]
        type = "rattle"
        method = "mc"
        stdev = 0.05
        closest = 2.4
        n = 5
    """
    run = SamplingRun()
    for number in range(config.n):
        frame = Structure(_draw(structure, config, rng), {}, structure.provenance | {'frame': number})
        run.frames.append(frame)
        run.steps += 1
    return run


def _draw(structure: Structure, config: RattleConfig, rng: np.random.Generator) -> Atoms:
    closest = 0.0
    for _ in range(MAX_TRIES):
        deformation = np.eye(3) + random_strain(rng, config.strain)
        if config.volumetric_strain is not None:
            deformation = deformation * np.cbrt(1.0 + rng.uniform(*config.volumetric_strain))
        if config.linear_strain is not None:
            deformation = deformation * (1.0 + rng.uniform(*config.linear_strain))
        atoms = deform(structure.atoms, deformation)
        atoms.positions += _displacements(atoms, config, rng)
        distance = minimum_distance(atoms)
        if distance >= config.min_distance:
            return atoms
        closest = max(closest, distance)
    raise ValueError(
        f'rattling {structure.formula} gave two atoms closer than {config.min_distance} of their covalent radii in all '
        f'{MAX_TRIES} tries (best: {closest:.2f}; the start: {minimum_distance(structure.atoms):.2f}): lower '
        f'"min_distance", "stdev" ({config.stdev} Å) or the strains'
    )


def _displacements(atoms: Atoms, config: RattleConfig, rng: np.random.Generator) -> FloatArray:
    """Displacement (Å) of each atom (n_atoms, 3)."""
    if config.method == 'standard':
        return np.asarray(rng.normal(scale=config.stdev, size=atoms.positions.shape))
    generation = require('hiphive.structure_generation.rattle', 'sampler "rattle" with method = "mc"')
    seed = int(rng.integers(2**31))
    try:
        moved = generation.mc_rattle(atoms, config.stdev, config.closest, n_iter=config.cycles, seed=seed)
    except Exception as error:
        raise ValueError(
            f'Monte Carlo rattling found no place for an atom of {atoms.get_chemical_formula()} ({error}): lower '
            f'"closest" ({config.closest} Å) or "stdev" ({config.stdev} Å)'
        ) from None
    return np.asarray(moved, dtype=float)
