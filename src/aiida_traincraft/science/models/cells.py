"""Atoms made fit for the models: cells large enough and right-handed, elements known."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from ase import Atoms
from ase.geometry import complete_cell

from aiida_traincraft.science.atoms.arrays import FloatArray

IMAGE_MARGIN = 1.0
"""Distance (Å) beyond the cutoff between images along a direction that is not periodic."""


def check_species(atoms: Atoms, elements: Collection[str]) -> None:
    """Raise ValueError, naming them, if atoms are of elements that a potential does not know."""
    unknown = sorted(set(atoms.get_chemical_symbols()) - set(elements))
    if unknown:
        raise ValueError(f'the potential has no {", ".join(unknown)}; it knows {", ".join(sorted(elements))}')


def prepare_atoms(atoms: Atoms, cutoff: float) -> Atoms:
    """Copy that pyace evaluates alike: periodic in all directions or none, with a right-handed cell.

    A direction that is not periodic beside one that is gets a perpendicular cell vector so long that images lie
    beyond the cutoff (Å). Positions do not change, so forces and virial are those of the original.

    Raises
    ------
    ValueError
        If there are no atoms, numbers are not finite, or a periodic direction has no cell vector.
    """
    if len(atoms) == 0:
        raise ValueError('a structure without atoms cannot be evaluated')
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise ValueError(f'{atoms.get_chemical_formula()}: positions or cell are not finite')
    cell, pbc = atoms.cell.array.copy(), atoms.pbc.copy()
    if not pbc.any():
        # A cell with a volume stays, as the reference of the stress.
        box = _right_handed(cell) if atoms.cell.rank == 3 else None
        return Atoms(atoms.numbers, atoms.positions, cell=box)
    if np.linalg.matrix_rank(cell[pbc]) < pbc.sum():
        raise ValueError(f'{atoms.get_chemical_formula()}: a periodic direction has no cell vector of its own')
    cell[~pbc] = 0.0
    # complete_cell fills in unit vectors perpendicular to the rest.
    cell = np.array(complete_cell(cell))
    for axis in np.flatnonzero(~pbc):
        cell[axis] *= np.ptp(atoms.positions @ cell[axis]) + cutoff + IMAGE_MARGIN
    return Atoms(atoms.numbers, atoms.positions, cell=_right_handed(cell), pbc=True)


def _right_handed(cell: FloatArray) -> FloatArray:
    return cell if np.linalg.det(cell) > 0 else cell[[1, 0, 2]]
