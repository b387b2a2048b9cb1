"""Builder ``crystal``: ASE's crystal prototypes, repeated, with vacancies."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from ase import Atoms
from ase.build import bulk
from pydantic import Field

from aiida_traincraft.science.config.base import PluginConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure

Prototype = Literal[
    'sc', 'fcc', 'bcc', 'bct', 'hcp', 'rhombohedral', 'orthorhombic', 'diamond', 'zincblende', 'rocksalt',
    'cesiumchloride', 'fluorite', 'wurtzite',
]  # fmt: skip
Length = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class CrystalConfig(PluginConfig):
    """A bulk crystal; what is left out is ASE's reference value of the element."""

    type: Literal['crystal'] = 'crystal'
    name: str
    """Element or formula, such as ``Cu`` or ``NaCl``."""
    crystalstructure: Prototype | None = None
    """Prototype of the lattice."""
    a: Length | None = None
    """Lattice constant (Å)."""
    b: Length | None = None
    """Second lattice constant of an orthorhombic lattice (Å)."""
    c: Length | None = None
    """Third lattice constant (Å)."""
    alpha: float | None = Field(default=None, gt=0, lt=120)
    """Angle of a rhombohedral lattice (degrees)."""
    covera: float | None = Field(default=None, gt=0)
    """Ratio c/a of a hexagonal lattice."""
    u: float | None = None
    """Internal coordinate of wurtzite (fraction of c)."""
    cubic: bool = False
    """Cubic cell in place of the primitive one."""
    orthorhombic: bool = False
    """Orthorhombic cell in place of the primitive one."""
    repeat: tuple[Count, Count, Count] = (1, 1, 1)
    """Repetitions along the three cell vectors."""
    vacancies: int = Field(default=0, ge=0)
    """Atoms removed at random."""


_PROTOTYPE_KEYS = (
    'name', 'crystalstructure', 'a', 'b', 'c', 'alpha', 'covera', 'u', 'cubic', 'orthorhombic',
)  # fmt: skip


def unit_cell(config: CrystalConfig) -> Atoms:
    """Unit cell of a prototype, without repetition and vacancies.

    Raises
    ------
    ValueError
        If ASE cannot build it, with ASE's reason.
    """
    arguments = {key: getattr(config, key) for key in _PROTOTYPE_KEYS}
    try:
        atoms = bulk(**arguments)
        if not (np.isfinite(atoms.cell.array).all() and atoms.cell.rank == 3):
            raise ValueError('its cell is not defined: give the missing lattice constants')
    # ASE reports an impossible combination in any of these ways.
    except (ValueError, KeyError, TypeError, RuntimeError, AssertionError) as error:
        given = ', '.join(f'{key} = {value!r}' for key, value in arguments.items() if value)
        raise ValueError(f'no crystal can be built from {given}: {error or type(error).__name__}') from error
    return atoms


@register('builder', 'crystal', CrystalConfig)
def build_crystal(config: CrystalConfig, rng: np.random.Generator) -> Structure:
    """Bulk crystal of one of ASE's prototypes, with vacancies if wanted.

    Raises
    ------
    ValueError
        If the prototype cannot be built or every atom would be removed.
    """
    atoms = unit_cell(config).repeat(config.repeat)
    if config.vacancies >= len(atoms):
        raise ValueError(f'"vacancies" is {config.vacancies}, but the crystal has {len(atoms)} atoms: raise "repeat"')
    del atoms[rng.choice(len(atoms), size=config.vacancies, replace=False)]
    return Structure(atoms)
