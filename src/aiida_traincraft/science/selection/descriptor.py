"""A model-free descriptor of a whole frame, for pools that no potential has seen."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np
from ase.data import atomic_numbers
from ase.neighborlist import neighbor_list

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.structure import Structure

CUTOFF = 6.0
BIN_WIDTH = 0.2


def frame_descriptor(structure: Structure, elements: Sequence[str]) -> FloatArray:
    """Composition, and per pair of elements a histogram of the interatomic distances, both per atom.

    A distance r is shared linearly between the two nearest of the bins at 0, 0.2, ... 6 Å, so that the descriptor
    changes smoothly with the positions.

    Parameters
    ----------
    structure
        The frame.
    elements
        Chemical symbols that the pool may contain; they fix the layout.

    Returns
    -------
    FloatArray
        (n_elements + n_pairs · 31,) for n_pairs = n_elements (n_elements + 1) / 2.

    Raises
    ------
    ValueError
        If the frame contains another element.
    """
    if unknown := set(structure.elements).difference(elements):
        raise ValueError(f'frame contains {", ".join(sorted(unknown))}, described are only {", ".join(elements)}')
    atoms = structure.atoms
    first, second, distances = neighbor_list('ijd', atoms, CUTOFF)
    low, high = np.sort([atoms.numbers[first], atoms.numbers[second]], axis=0)
    n_bins = round(CUTOFF / BIN_WIDTH) + 1
    place, share = np.divmod(distances / BIN_WIDTH, 1.0)
    numbers = sorted(atomic_numbers[element] for element in elements)
    parts: list[FloatArray] = [
        np.array([np.count_nonzero(atoms.numbers == number) for number in numbers], dtype=np.float64)
    ]
    for pair in combinations_with_replacement(numbers, 2):
        mask = (low == pair[0]) & (high == pair[1])
        left = place[mask].astype(int)
        lower = np.bincount(left, 1.0 - share[mask], minlength=n_bins + 1)
        upper = np.bincount(left + 1, share[mask], minlength=n_bins + 1)
        parts.append(np.asarray(lower + upper, np.float64)[:n_bins])
    return np.concatenate(parts) / len(atoms)
