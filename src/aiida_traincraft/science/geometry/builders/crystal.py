"""Builder ``crystal``: a prototype or a space group with its basis, repeated, with point defects."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.geometry import cellpar_to_cell
from ase.spacegroup import Spacegroup, crystal
from ase.spacegroup.spacegroup import SpacegroupError
from pydantic import Field, model_validator

from aiida_traincraft.science.atoms.sizes import check_size
from aiida_traincraft.science.atoms.symbols import check_formula
from aiida_traincraft.science.config.base import StrictModel
from aiida_traincraft.science.config.kinds import BuilderConfig
from aiida_traincraft.science.geometry.defects import Defects, Element, Fraction, make_defects
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure

Prototype = Literal[
    'sc', 'fcc', 'bcc', 'bct', 'hcp', 'rhombohedral', 'orthorhombic', 'diamond', 'zincblende', 'rocksalt',
    'cesiumchloride', 'fluorite', 'wurtzite',
]  # fmt: skip
Length = Annotated[float, Field(ge=0.5, le=1000)]
Angle = Annotated[float, Field(gt=0, lt=180)]
Count = Annotated[int, Field(ge=1)]
_PROTOTYPE_ONLY = ('crystalstructure', 'covera', 'u', 'cubic', 'orthorhombic')
_GROUP_ONLY = ('basis', 'beta', 'gamma', 'setting')
# Last number of each crystal system, the lengths it leaves free, and what its cell must fulfil.
_SYSTEMS: tuple[tuple[int, tuple[str, ...], str], ...] = (
    (2, ('b', 'c'), 'no relation'),
    (15, ('b', 'c'), 'alpha = gamma = 90'),
    (74, ('b', 'c'), 'alpha = beta = gamma = 90'),
    (142, ('c',), 'a = b, alpha = beta = gamma = 90'),
    (194, ('c',), 'a = b, alpha = beta = 90, gamma = 120'),
    (230, (), 'a = b = c, alpha = beta = gamma = 90'),
)


class BasisSite(StrictModel):
    """One atom of the asymmetric unit."""

    element: Element
    """Element."""
    position: tuple[Fraction, Fraction, Fraction]
    """Place in fractions of the cell vectors."""


class UnitCell(StrictModel):
    """Keys of a unit cell: a prototype by name, or a space group with its basis."""

    name: str | None = Field(default=None, pattern=r'^[A-Za-z0-9]*$')
    """Element or formula of a prototype, such as ``Cu`` or ``NaCl``."""
    crystalstructure: Prototype | None = None
    """Prototype of the lattice; ASE's reference structure of the element if left out."""
    a: Length | None = None
    """Lattice constant (Å); ASE's reference value of the element if left out."""
    b: Length | None = None
    """Second lattice constant (Å), of an orthorhombic prototype or a space group."""
    c: Length | None = None
    """Third lattice constant (Å)."""
    alpha: Angle | None = None
    """Angle between b and c (degrees), of a rhombohedral prototype (below 120) or a space group."""
    beta: Angle | None = None
    """Angle between a and c (degrees), of a space group."""
    gamma: Angle | None = None
    """Angle between a and b (degrees), of a space group."""
    covera: float | None = Field(default=None, gt=0)
    """Ratio c/a of a hexagonal lattice."""
    u: float | None = None
    """Internal coordinate of wurtzite (fraction of c)."""
    cubic: bool = False
    """Cubic cell in place of the primitive one."""
    orthorhombic: bool = False
    """Orthorhombic cell in place of the primitive one."""
    spacegroup: int | str | None = None
    """Number or Hermann-Mauguin symbol of a space group, in place of ``name``; its conventional cell is built."""
    setting: Literal[1, 2] = 1
    """Setting of the space group where there are two, such as hexagonal and rhombohedral axes."""
    basis: tuple[BasisSite, ...] = Field(default=(), max_length=1000)
    """Asymmetric unit of the space group."""

    @model_validator(mode='after')
    def _one_description(self) -> UnitCell:
        if (self.name is None) == (self.spacegroup is None):
            raise ValueError('give exactly one of "name" (a prototype) and "spacegroup" (with "basis")')
        wrong = _GROUP_ONLY if self.spacegroup is None else _PROTOTYPE_ONLY
        if set_here := [key for key in wrong if getattr(self, key) != UnitCell.model_fields[key].default]:
            other = 'spacegroup' if self.spacegroup is None else 'name'
            raise ValueError(f'"{set_here[0]}" goes with "{other}"')
        if self.spacegroup is not None and not (self.basis and self.a):
            raise ValueError(f'"spacegroup" needs "{"a" if self.basis else "basis"}"')
        if self.spacegroup is None and self.alpha is not None and self.alpha >= 120:
            raise ValueError('"alpha" of a rhombohedral lattice must be less than 120')
        return self


class Lattice(UnitCell):
    """Keys of a perfect crystal: a unit cell and its repetition."""

    repeat: tuple[Count, Count, Count] = (1, 1, 1)
    """Repetitions along the three cell vectors."""


class CrystalConfig(Lattice, Defects, BuilderConfig):
    """A bulk crystal; what is left out is ASE's reference value of the element."""

    aliases: ClassVar[tuple[str, ...]] = ('bulk', 'fcc', 'bcc')
    type: Literal['crystal'] = 'crystal'


_PROTOTYPE_KEYS = (
    'name', 'crystalstructure', 'a', 'b', 'c', 'alpha', 'covera', 'u', 'cubic', 'orthorhombic',
)  # fmt: skip


def unit_cell(lattice: UnitCell) -> Atoms:
    """Unit cell, without repetition.

    Raises
    ------
    ValueError
        If ASE cannot build it, with ASE's reason.
    """
    if lattice.spacegroup is not None:
        return _group_cell(lattice)
    arguments = {key: getattr(lattice, key) for key in _PROTOTYPE_KEYS}
    try:
        check_formula(lattice.name or '')
        atoms = bulk(**arguments)
        if not (np.isfinite(atoms.cell.array).all() and atoms.cell.rank == 3):
            raise ValueError('its cell is not defined: give the missing lattice constants')
    # ASE reports an impossible combination in any of these ways.
    except (ValueError, KeyError, TypeError, RuntimeError, AssertionError) as error:
        given = ', '.join(f'{key} = {value!r}' for key, value in arguments.items() if value or value == '')
        raise ValueError(f'no crystal can be built from {given}: {str(error) or type(error).__name__}') from error
    return atoms


def perfect_crystal(lattice: Lattice) -> Atoms:
    """Unit cell of a lattice, repeated.

    Raises
    ------
    ValueError
        If ASE cannot build it, or it would be too large.
    """
    cell = unit_cell(lattice)
    check_size(len(cell) * math.prod(lattice.repeat), '"repeat"')
    return cell.repeat(lattice.repeat)


def _group_cell(lattice: UnitCell) -> Atoms:
    try:
        # ASE writes the axes of a symbol without underscores.
        known = lattice.spacegroup if isinstance(lattice.spacegroup, int) else str(lattice.spacegroup).replace('_', '')
        group = Spacegroup(known, lattice.setting)
    except SpacegroupError:
        raise ValueError(
            f'"spacegroup" {lattice.spacegroup!r} with "setting" {lattice.setting} is not known: '
            'give a number from 1 to 230 or a symbol such as "Fm-3m"'
        ) from None
    parameters = _cell_parameters(lattice, group)
    symbols, positions = [site.element for site in lattice.basis], [site.position for site in lattice.basis]
    try:
        atoms: Atoms = crystal(symbols, positions, spacegroup=group, cellpar=parameters, onduplicates='error')
    except SpacegroupError as error:
        raise ValueError(f'two sites of "basis" give the same atom under "spacegroup" {group.no}: {error}') from error
    atoms.info.clear()
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)


def _cell_parameters(lattice: UnitCell, group: Any) -> list[float]:
    """Lengths (Å) and angles (degrees) with the symmetry of the group; what is left out follows from the group."""
    number, rhombohedral = group.no, group.lattice == 'R' and group.setting == 2
    needed, rule = next((keys, rule) for last, keys, rule in _SYSTEMS if number <= last)
    if rhombohedral:
        needed, rule = ('alpha',), 'a = b = c, alpha = beta = gamma'
    if missing := [key for key in needed if getattr(lattice, key) is None]:
        raise ValueError(f'"{missing[0]}" is needed for "spacegroup" {number} ({group.symbol})')
    assert lattice.a is not None
    right = lattice.alpha if rhombohedral and lattice.alpha else 90.0
    gamma = 120.0 if 143 <= number <= 194 and not rhombohedral else right
    defaults = {'a': lattice.a, 'b': lattice.a, 'c': lattice.a, 'alpha': right, 'beta': right, 'gamma': gamma}
    parameters: list[float] = [getattr(lattice, key) or default for key, default in defaults.items()]
    cosines = np.cos(np.radians(parameters[3:]))
    # Square of the volume of a cell of unit lengths.
    if 1 + 2 * np.prod(cosines) - np.sum(cosines**2) < 1e-6:
        raise ValueError('"alpha", "beta" and "gamma" make no cell: each must be less than the sum of the others')
    vectors = cellpar_to_cell(parameters)
    metric = vectors @ vectors.T
    if any(np.abs(rotation.T @ metric @ rotation - metric).max() > 1e-5 * metric.max() for rotation in group.rotations):
        given = ', '.join(f'{key} {value:g}' for key, value in zip(defaults, parameters, strict=True))
        raise ValueError(
            f'"spacegroup" {number} ({group.symbol}, "setting" {group.setting}) needs {rule}; the cell has {given}'
        )
    return parameters


@register('builder', 'crystal', CrystalConfig)
def build_crystal(config: CrystalConfig, rng: np.random.Generator) -> Structure:
    """Bulk crystal: one of ASE's prototypes or a space group with its basis, with point defects if wanted.

    The defects are made in the order composition, substitutions, vacancies, interstitials; ``sites`` count the atoms
    of the perfect, repeated crystal. Numbers are exact: fractions of a composition are rounded by the method of
    largest remainders.

    Raises
    ------
    ValueError
        If the crystal cannot be built or the defects do not fit in it.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "crystal"
        spacegroup = "P4_2/mnm"
        a = 4.594
        c = 2.959
        basis = [
            { element = "Ti", position = [0.0, 0.0, 0.0] },
            { element = "O", position = [0.305, 0.305, 0.0] },
        ]
        repeat = [2, 2, 3]
        vacancies = { element = "O", count = 1 }
        substitutions = [{ old = "Ti", new = "Nb", count = 2 }]
    """
    return Structure(make_defects(perfect_crystal(config), config, rng))
