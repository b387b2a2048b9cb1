"""How close atoms come to each other, measured in covalent radii."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list


def minimum_distance(atoms: Atoms) -> float:
    """Smallest distance between two atoms, relative to the sum of their covalent radii.

    Periodic images count, those of the atom itself included.

    Parameters
    ----------
    atoms
        Positions, cell (Å) and periodicity.

    Returns
    -------
    float
        Ratio without unit: about 1 in a metal, 0 for two atoms on one place, ``inf`` for an isolated atom.

    Raises
    ------
    ValueError
        If a position or a cell vector is not finite, or a periodic direction has no cell vector.
    """
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise ValueError('positions or cell are not finite: distances are undefined')
    if np.any(atoms.pbc & ~atoms.cell.mask()):
        raise ValueError(f'pbc is {atoms.pbc.tolist()}, but a periodic direction has no cell vector')
    if len(atoms) < 2 and not (len(atoms) and atoms.pbc.any()):
        return float('inf')
    radii = covalent_radii[atoms.numbers]
    scale = 1.2
    while True:
        first, second, distances = neighbor_list('ijd', atoms, scale * radii)
        if len(distances):
            return float(np.min(distances / (radii[first] + radii[second])))
        # Nothing so near: a sparse system, in which a wider search is cheap.
        scale *= 2.0


def shortest_distance(atoms: Atoms) -> float | None:
    """Shortest distance between two atoms (Å), periodic images included; None for an isolated atom.

    Raises
    ------
    ValueError
        As of :func:`minimum_distance`.
    """
    ratio = minimum_distance(atoms)
    if ratio == float('inf'):
        return None
    # Another pair, of smaller atoms, may be relatively farther apart and yet closer.
    return float(neighbor_list('d', atoms, ratio * 2 * covalent_radii[atoms.numbers].max() + 1e-6).min())
