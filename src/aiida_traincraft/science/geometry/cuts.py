"""Cuts through a crystal, whichever of its cells describes it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import ase.build
import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.formula import Formula
from pydantic import AfterValidator, Field

from aiida_traincraft.science.atoms.sizes import check_size
from aiida_traincraft.science.atoms.symmetry import find_symmetry
from aiida_traincraft.science.geometry.terminations import SAME_PLANE, SYMPREC, find_terminations


def _plane(miller: tuple[int, int, int]) -> tuple[int, int, int]:
    if not any(miller):
        raise ValueError('[0, 0, 0] is no plane')
    return miller


Index = Annotated[int, Field(ge=-20, le=20)]
Miller = Annotated[tuple[Index, Index, Index], AfterValidator(_plane)]
Axes = Literal['conventional', 'own']
PHYSICAL = ('numbers', 'masses', 'initial_magmoms', 'initial_charges')
"""Arrays that tell atoms apart; others, such as numbers of atoms in a file, are not those of a crystal."""


@dataclass(frozen=True)
class Cut:
    """A plane through the primitive cell of a crystal, and so the smallest cell in that plane."""

    cell: Atoms
    """Primitive cell, right-handed."""
    miller: tuple[int, int, int]
    """Miller indices in it, without a common factor."""

    @property
    def spacing(self) -> float:
        """Distance of neighbouring lattice planes (Å)."""
        return 1 / float(np.linalg.norm(np.array(self.miller) @ self.cell.cell.reciprocal()))

    def slabs(self, layers: int, symmetric: bool, key: str) -> list[Atoms]:
        """Slabs without vacuum, one for each termination, as :func:`find_terminations` finds them.

        Their order, and which side is up, follow from their planes of atoms alone.

        Raises
        ------
        ValueError
            If there would be too many atoms; ``key`` is the key that asks for so many.
        """
        check_size(len(self.cell) * (layers + 1), f'"{key}"')
        stack = ase.build.surface(self.cell, self.miller, layers + 1, periodic=True)
        return sorted(map(_upright, find_terminations(stack, layers, symmetric)), key=_planes)


def upside_down(slab: Atoms) -> Atoms:
    """Copy turned about x: a mirror would make another crystal of a chiral one."""
    turned: Atoms = slab.copy()
    turned.rotate(180, 'x', rotate_cell=True)
    turned.set_cell(turned.cell.array * [[1], [-1], [-1]])
    return turned


def outermost_plane(slab: Atoms, top: bool) -> str:
    """Formula of the outermost plane of atoms on one side, in the smallest whole numbers."""
    heights = slab.positions[:, 2] * (1 if top else -1)
    return empirical(Counter(slab[heights > heights.max() - SAME_PLANE].symbols))


def empirical(counts: Mapping[str, int]) -> str:
    """Formula in Hill order, in the smallest whole numbers."""
    common = math.gcd(*counts.values())
    return str(Formula.from_dict({symbol: count // common for symbol, count in counts.items()}).format('hill'))


def _upright(slab: Atoms) -> Atoms:
    return min(slab, upside_down(slab), key=_planes)


def _planes(slab: Atoms) -> tuple[int, list[str], list[float]]:
    """Number of atoms, formulas of the planes from below, and distances between them (Å)."""
    heights = np.sort(slab.positions[:, 2])
    starts = heights[np.diff(heights, prepend=-np.inf) > SAME_PLANE]
    which = np.searchsorted(starts, slab.positions[:, 2], side='right') - 1
    formulas = [empirical(Counter(slab[which == number].symbols)) for number in range(len(starts))]
    return len(slab), formulas, np.round(np.diff(starts), 2).tolist()


def find_cut(crystal: Atoms, miller: Sequence[int], axes: Axes = 'conventional') -> Cut:
    """Find the cut of Miller indices in the conventional cell, as spglib standardises it, or in the crystal's own.

    Left-handed, rotated, primitive and repeated cells of one crystal give the same cut in the conventional cell.

    Raises
    ------
    ValueError
        If atoms coincide.
    """
    kinds, first = _kinds(crystal)
    cell = (crystal.cell.array, crystal.get_scaled_positions(), (kinds + 1).tolist())
    conventional = find_symmetry('standardize_cell', cell, no_idealize=True, symprec=SYMPREC)
    primitive = find_symmetry('standardize_cell', cell, to_primitive=True, no_idealize=True, symprec=SYMPREC)
    if conventional is None or primitive is None:
        raise ValueError('"geometry": spglib finds no symmetry in the crystal: do atoms coincide?')
    sources = first[np.asarray(primitive[2]) - 1]
    atoms = Atoms(crystal.numbers[sources], cell=primitive[0], scaled_positions=primitive[1], pbc=True)
    for name in PHYSICAL[1:]:
        if name in crystal.arrays:
            atoms.set_array(name, crystal.arrays[name][sources])
    described = conventional[0] if axes == 'conventional' else crystal.cell.array
    return Cut(atoms, _in_primitive(miller, described, primitive[0]))


def _kinds(crystal: Atoms) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]]:
    """Kind (n,) of each atom, from 0, and the first atom of each kind."""
    columns = [crystal.arrays[name].reshape(len(crystal), -1) for name in PHYSICAL if name in crystal.arrays]
    _, first, kinds = np.unique(np.round(np.hstack(columns), 6), axis=0, return_index=True, return_inverse=True)
    return kinds.reshape(-1), first


def _in_primitive(
    miller: Sequence[int], described: npt.ArrayLike, primitive: npt.ArrayLike
) -> tuple[int, int, int]:  # fmt: skip
    """Miller indices of the same plane in the primitive cell."""
    cell, small = np.asarray(described, float), np.asarray(primitive, float)
    # In units of the cell's vectors, those of the primitive one are multiples of one over their ratio of volumes.
    ratio = np.rint(abs(np.linalg.det(cell) / np.linalg.det(small)))
    indices = np.rint(ratio * small @ np.linalg.inv(cell) @ np.array(miller)).astype(int)
    first, second, third = (indices // np.gcd.reduce(indices)).tolist()
    return first, second, third
