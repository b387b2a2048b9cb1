"""Builder ``slab``: surfaces with vacuum on both sides."""

from __future__ import annotations

from typing import Literal

import ase.build
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, reference_states
from pydantic import Field, model_validator

from aiida_traincraft.science.config.base import PluginConfig
from aiida_traincraft.science.geometry.builders.crystal import Count, CrystalConfig, Length, Prototype, unit_cell
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure

Facet = Literal[
    'fcc111', 'fcc100', 'fcc110', 'bcc110', 'bcc100', 'bcc111', 'hcp0001', 'diamond111', 'diamond100'
]  # fmt: skip
_CUBIC = ('sc', 'fcc', 'bcc', 'diamond', 'zincblende', 'rocksalt', 'cesiumchloride', 'fluorite')


class SlabConfig(PluginConfig):
    """A slab: a named facet of an element, or any cut of a crystal."""

    type: Literal['slab'] = 'slab'
    name: str
    """Element, or a formula with ``miller``."""
    facet: Facet | None = None
    """Named facet."""
    miller: tuple[int, int, int] | None = None
    """Miller indices of the cut through the conventional cell, in place of ``facet``."""
    crystalstructure: Prototype | None = None
    """Prototype of the crystal that ``miller`` cuts."""
    size: tuple[Count, Count, Count] = (1, 1, 4)
    """Repetitions in the plane, and layers: of atoms for a facet, of unit cells for ``miller``."""
    a: Length | None = None
    """Lattice constant (Å); by default ASE's reference value."""
    c: Length | None = None
    """Second lattice constant of a hexagonal crystal (Å)."""
    vacuum: float = Field(default=8.0, gt=0)
    """Vacuum on each side (Å)."""
    periodic: bool = True
    """Periodic along the normal too, as plane-wave codes need it."""

    @model_validator(mode='after')
    def _one_cut(self) -> SlabConfig:
        if (self.facet is None) == (self.miller is None):
            raise ValueError('give exactly one of "facet" and "miller"')
        if self.miller is not None and not any(self.miller):
            raise ValueError('"miller" [0, 0, 0] is no plane')
        if self.facet is not None and self.crystalstructure is not None:
            raise ValueError('"crystalstructure" goes with "miller"; "facet" names its own')
        if self.facet is not None and self.facet != 'hcp0001' and self.c is not None:
            raise ValueError(f'"c" has no meaning for the cubic facet {self.facet!r}')
        return self


@register('builder', 'slab', SlabConfig)
def build_slab(config: SlabConfig, rng: np.random.Generator) -> Structure:
    """Slab with vacuum on both sides, its normal along z.

    Raises
    ------
    ValueError
        If the crystal or the facet cannot be built, with ASE's reason.
    """
    atoms = _cut(config) if config.miller is not None else _facet(config)
    atoms.pbc = [True, True, config.periodic]
    # ASE's lists of adsorption sites are no part of the structure.
    atoms.info.clear()
    return Structure(atoms)


def _facet(config: SlabConfig) -> Atoms:
    assert config.facet is not None
    lattice = {'a': config.a} | ({'c': config.c} if config.facet == 'hcp0001' else {})
    try:
        return getattr(ase.build, config.facet)(config.name, size=config.size, vacuum=config.vacuum, **lattice)
    except (ValueError, KeyError, TypeError) as error:
        known = config.name in atomic_numbers
        reason = f'{error}; give "a" (Å)' if known else 'not an element: a compound needs "miller"'
        raise ValueError(f'no {config.facet} slab of {config.name!r} can be built: {reason}') from error


def _cut(config: SlabConfig) -> Atoms:
    prototype = config.crystalstructure
    if prototype is None and config.name in atomic_numbers:
        prototype = (reference_states[atomic_numbers[config.name]] or {}).get('symmetry')
    crystal = CrystalConfig(
        name=config.name,
        crystalstructure=config.crystalstructure,
        a=config.a,
        c=config.c,
        cubic=prototype in _CUBIC,
    )
    atoms = ase.build.surface(unit_cell(crystal), config.miller, config.size[2], vacuum=config.vacuum)
    return atoms.repeat((config.size[0], config.size[1], 1))
