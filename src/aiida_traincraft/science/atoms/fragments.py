"""Which molecule an atom belongs to: the per-atom array ``tc_fragment``."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from aiida_traincraft.science.atoms.arrays import IntArray

FRAGMENT = 'tc_fragment'
FRAMEWORK = -1
BOND_SCALE = 1.2
"""Atoms are bonded up to this multiple of the sum of their covalent radii."""


def get_fragments(atoms: Atoms) -> IntArray:
    """Fragment of each atom (n_atoms,): −1 for the framework, molecules from 0; all framework where there is none."""
    if FRAGMENT not in atoms.arrays:
        return np.full(len(atoms), FRAMEWORK)
    return np.array(atoms.arrays[FRAGMENT], dtype=np.int64)


def set_fragments(atoms: Atoms, fragments: Any) -> None:
    """Set the fragment of each atom: one number for all, or (n_atoms,)."""
    values = np.broadcast_to(np.asarray(fragments, dtype=np.int64), (len(atoms),)).copy()
    atoms.set_array(FRAGMENT, values, int, ())


def molecules(atoms: Atoms) -> list[IntArray]:
    """Indices of the atoms of each molecule, in the order of their numbers; the framework is none."""
    fragments = get_fragments(atoms)
    return [np.flatnonzero(fragments == number) for number in np.unique(fragments[fragments >= 0])]


def append(host: Atoms, guest: Atoms) -> None:
    """Add a molecule to a structure, in place, under the next free number; a guest's own numbers stay apart."""
    before, added = get_fragments(host), get_fragments(guest)
    first = int(before.max(initial=FRAMEWORK)) + 1
    values = np.where(added >= 0, added, 0) + first
    host.extend(guest)
    set_fragments(host, np.concatenate([before, values]))


def repeat(atoms: Atoms, repetitions: tuple[int, int, int]) -> Atoms:
    """Copy repeated along the cell vectors; every image of a molecule gets a number of its own.

    Molecules across the border of the cell are made whole first.
    """
    if FRAGMENT not in atoms.arrays:
        return atoms.repeat(repetitions)
    whole, fragments, images = unwrap(atoms), get_fragments(atoms), int(np.prod(repetitions))
    large = whole.repeat(repetitions)
    many = int(fragments.max(initial=FRAMEWORK)) + 1
    image, numbers = np.repeat(np.arange(images), len(atoms)), np.tile(fragments, images)
    set_fragments(large, np.where(numbers >= 0, numbers + many * image, FRAMEWORK))
    return large


def unwrap(atoms: Atoms) -> Atoms:
    """Copy in which no molecule is cut by the border of the cell."""
    whole, fragments = atoms.copy(), get_fragments(atoms)
    first, second, shift = _bonds(atoms, BOND_SCALE)
    inside = (fragments[first] == fragments[second]) & (fragments[first] >= 0)
    offsets, _ = _walk(len(atoms), first[inside], second[inside], shift[inside])
    whole.positions += offsets @ atoms.cell.array
    return whole


def infer_fragments(atoms: Atoms, scale: float = BOND_SCALE) -> IntArray:
    """Molecules by connectivity.

    Parameters
    ----------
    atoms
        Positions, cell (Å), periodicity.
    scale
        Atoms are bonded up to this multiple of the sum of their covalent radii.

    Returns
    -------
    (n_atoms,) array
        Number of the molecule, in the order of the first atoms; −1 for what is bonded to its own periodic image
        (a crystal, a slab, a tube).
    """
    first, second, shift = _bonds(atoms, scale)
    n_atoms = len(atoms)
    graph = coo_matrix((np.ones(len(first)), (first, second)), shape=(n_atoms, n_atoms))
    _, labels = connected_components(graph, directed=False)
    _, met_again = _walk(n_atoms, first, second, shift)
    endless = set(labels[met_again].tolist())
    numbers: dict[int, int] = {}
    for label in labels.tolist():
        if label not in endless:
            numbers.setdefault(label, len(numbers))
    return np.array([numbers.get(label, FRAMEWORK) for label in labels.tolist()], dtype=np.int64)


def _bonds(atoms: Atoms, scale: float) -> tuple[IntArray, IntArray, IntArray]:
    """Both atoms of every bond, and how many cells the second lies away."""
    first, second, shift = neighbor_list('ijS', atoms, scale * covalent_radii[atoms.numbers])
    return first, second, shift


def _walk(n_atoms: int, first: IntArray, second: IntArray, shift: IntArray) -> tuple[IntArray, list[int]]:
    """Cells (n_atoms, 3) by which to move each atom next to its bonded ones; atoms met again in another cell."""
    bonds: list[list[tuple[int, IntArray]]] = [[] for _ in range(n_atoms)]
    for i, j, offset in zip(first.tolist(), second.tolist(), shift, strict=True):
        bonds[i].append((j, offset))
    offsets, seen = np.zeros((n_atoms, 3), dtype=np.int64), np.zeros(n_atoms, dtype=bool)
    met_again: list[int] = []
    for start in range(n_atoms):
        waiting = [] if seen[start] else [start]
        seen[start] = True
        while waiting:
            atom = waiting.pop()
            for other, offset in bonds[atom]:
                there = offsets[atom] + offset
                if not seen[other]:
                    seen[other], offsets[other] = True, there
                    waiting.append(other)
                elif (offsets[other] != there).any():
                    met_again.append(other)
    return offsets, met_again
