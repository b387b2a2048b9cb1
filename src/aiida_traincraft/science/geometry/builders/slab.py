"""Builder ``slab``: surfaces with vacuum on both sides."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import ase.build
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, reference_states
from pydantic import Field, model_validator

from aiida_traincraft.science.atoms.sizes import check_size
from aiida_traincraft.science.atoms.symbols import is_element, suggestion
from aiida_traincraft.science.config.kinds import BuilderConfig
from aiida_traincraft.science.geometry.builders.crystal import Count, Length, Prototype, UnitCell, unit_cell
from aiida_traincraft.science.geometry.cuts import Miller
from aiida_traincraft.science.geometry.terminations import find_terminations, set_vacuum
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure

Facet = Literal[
    'fcc111', 'fcc100', 'fcc110', 'bcc110', 'bcc100', 'bcc111', 'hcp0001', 'diamond111', 'diamond100'
]  # fmt: skip
_CUBIC = ('sc', 'fcc', 'bcc', 'diamond', 'zincblende', 'rocksalt', 'cesiumchloride', 'fluorite')


class SlabConfig(BuilderConfig):
    """A slab: a named facet of an element, or any cut of a crystal."""

    aliases: ClassVar[tuple[str, ...]] = ('surface',)
    type: Literal['slab'] = 'slab'
    name: str | None = None
    """Element, or a formula with ``miller``."""
    facet: Facet | None = None
    """Named facet."""
    miller: Miller | None = None
    """Miller indices of the cut through the conventional cell, in place of ``facet``."""
    crystalstructure: Prototype | None = None
    """Prototype of the crystal that ``miller`` cuts."""
    crystal: UnitCell | None = None
    """Unit cell that ``miller`` cuts, in place of ``name``: the keys of the builder ``crystal``."""
    size: tuple[Count, Count, Count] = (1, 1, 4)
    """Repetitions in the plane, and layers: of atoms for a facet, of unit cells for ``miller``."""
    a: Length | None = None
    """Lattice constant (Å); by default ASE's reference value."""
    c: Length | None = None
    """Second lattice constant of a hexagonal crystal (Å)."""
    vacuum: float = Field(default=8.0, gt=0, le=1000)
    """Vacuum on each side (Å)."""
    periodic: bool = True
    """Periodic along the normal too, as plane-wave codes need it."""
    terminations: Literal['first', 'all'] = 'first'
    """Of a cut by ``miller``: the first termination, or one slab for each that differs."""
    symmetric: bool = False
    """Of a cut by ``miller``: only slabs with equivalent sides; planes at the top are left out where that needs it."""

    @model_validator(mode='after')
    def _one_cut(self) -> SlabConfig:
        if (self.facet is None) == (self.miller is None):
            raise ValueError('give exactly one of "facet" and "miller"')
        if (self.name is None) == (self.crystal is None):
            raise ValueError('give exactly one of "name" and "crystal"')
        for key in ('crystalstructure', 'crystal'):
            if self.facet is not None and getattr(self, key) is not None:
                raise ValueError(f'"{key}" goes with "miller"; "facet" names its own')
        if self.facet is not None and (self.symmetric or self.terminations != 'first'):
            raise ValueError('"terminations" and "symmetric" go with "miller"; the sides of a facet are equivalent')
        if self.facet is not None and self.facet != 'hcp0001' and self.c is not None:
            raise ValueError(f'"c" has no meaning for the cubic facet {self.facet!r}')
        for key in ('a', 'c', 'crystalstructure'):
            if self.crystal is not None and getattr(self, key) is not None:
                raise ValueError(f'"{key}" belongs into "crystal"')
        return self


@register('builder', 'slab', SlabConfig)
def build_slab(config: SlabConfig, rng: np.random.Generator) -> Structure | list[Structure]:
    """Slab with vacuum on both sides, its normal along z.

    With ``terminations = "all"`` one slab for every way to cut between two planes of atoms; slabs that symmetry maps
    on each other count as one. All have the composition of the crystal unless ``symmetric`` leaves planes out.

    Raises
    ------
    ValueError
        If the crystal or the facet cannot be built, with ASE's reason, or no slab has equivalent sides.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "slab"
        miller = [1, 0, 0]
        size = [2, 2, 2]
        vacuum = 6.0
        terminations = "all"
        symmetric = true

        [builder.crystal]
        spacegroup = 221
        a = 3.905
        basis = [
            { element = "Sr", position = [0.0, 0.0, 0.0] },
            { element = "Ti", position = [0.5, 0.5, 0.5] },
            { element = "O", position = [0.5, 0.5, 0.0] },
        ]
    """
    slabs = build_slabs(config)
    return [Structure(atoms) for atoms in slabs] if config.terminations == 'all' else Structure(slabs[0])


def build_slabs(config: SlabConfig) -> list[Atoms]:
    """Slabs of a config, one for each termination.

    Raises
    ------
    ValueError
        As :func:`build_slab`.
    """
    slabs = _cuts(config) if config.miller is not None else [_facet(config)]
    for atoms in slabs:
        atoms.pbc = [True, True, config.periodic]
        # ASE's lists of adsorption sites are no part of the structure.
        atoms.info.clear()
    return slabs


def _facet(config: SlabConfig) -> Atoms:
    assert config.facet is not None
    check_size(math.prod(config.size), '"size"')
    lattice = {'a': config.a} | ({'c': config.c} if config.facet == 'hcp0001' else {})
    try:
        return getattr(ase.build, config.facet)(config.name, size=config.size, vacuum=config.vacuum, **lattice)
    except (ValueError, KeyError, TypeError) as error:
        name = config.name or ''
        told = f'not an element{suggestion(name)}: a compound needs "miller"'
        reason = f'{error}; give "a" (Å)' if is_element(name) else told
        raise ValueError(f'"name": no {config.facet} slab of {config.name!r} can be built: {reason}') from error


def _cuts(config: SlabConfig) -> list[Atoms]:
    assert config.miller is not None
    cell = unit_cell(config.crystal or _named_crystal(config))
    check_size(len(cell) * math.prod(config.size), '"size"')
    miller = np.array(config.miller) // math.gcd(*config.miller)
    layers, indices = config.size[2], tuple(miller.tolist())
    if config.terminations == 'first' and not config.symmetric:
        slabs = [ase.build.surface(cell, indices, layers)]
    else:
        slabs = find_terminations(ase.build.surface(cell, indices, layers + 1, periodic=True), layers, config.symmetric)
    if not slabs:
        raise ValueError(f'"symmetric": no slab of {list(config.miller)} has equivalent sides')
    return [set_vacuum(slab, config.vacuum).repeat((config.size[0], config.size[1], 1)) for slab in slabs]


def _named_crystal(config: SlabConfig) -> UnitCell:
    prototype = config.crystalstructure
    if prototype is None and config.name in atomic_numbers:
        prototype = (reference_states[atomic_numbers[config.name]] or {}).get('symmetry')
    return UnitCell(
        name=config.name,
        crystalstructure=config.crystalstructure,
        a=config.a,
        c=config.c,
        cubic=prototype in _CUBIC,
    )
