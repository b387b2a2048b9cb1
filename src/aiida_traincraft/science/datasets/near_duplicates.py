"""Frames that are one configuration up to rotation, translation, permutation, choice of cell, and noise.

See docs/decisions/near-duplicates.md for the descriptor, what it separates, and what it cannot see.
"""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from aiida_traincraft.science.atoms.arrays import Array, FloatArray
from aiida_traincraft.science.models.cells import prepare_atoms
from aiida_traincraft.science.structure import Structure

Match = tuple[str, float]
Kind = tuple[int, ...]

DEFAULT_TOLERANCE = 5e-4
"""Distance between noise (coordinates rounded to 1e-3 Å) and change (2 % strain, 10 fs of dynamics), as measured."""

CUTOFF = 5.0
SOAP: dict[str, Any] = {
    'cutoff': {'radius': CUTOFF, 'smoothing': {'type': 'ShiftedCosine', 'width': 1.0}},
    'density': {'type': 'Gaussian', 'width': 0.3},
    'basis': {'type': 'TensorProduct', 'max_angular': 4, 'radial': {'type': 'Gto', 'max_radial': 4}},
}
N_SLOTS = 64
"""Numbers that the power spectra of a frame are folded into."""
N_FEATURES = N_SLOTS + 2

VALUES_PER_PAIR = 125
"""Power spectrum values of one atom for one pair of elements: 5 by 5 radial functions, 5 angular channels."""

BATCH = 1000
VALUES_PER_CALL = 2_000_000
"""Power spectrum values computed at once (16 MB)."""


def describe(structures: Sequence[Structure]) -> FloatArray:
    """Invariant descriptors, to be compared between frames of the same elements.

    Mean and standard deviation, over the atoms of each element, of the square root of the SOAP power spectrum;
    normalised and folded. The last two columns are the logarithms of the norm and of the length per atom, so that
    the Euclidean distance is a relative one.

    Parameters
    ----------
    structures
        Frames of any elements, cells and periodicity.

    Returns
    -------
    FloatArray
        (n_structures, N_FEATURES), without unit.

    Raises
    ------
    ValueError
        If a frame has no atoms, numbers that are not finite, or a periodic direction without a cell vector.
    """
    vectors = np.empty((len(structures), N_FEATURES))
    alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, structure in enumerate(structures):
        alike[tuple(structure.elements)].append(index)
    for elements, members in alike.items():
        for part in _parts(members, structures, len(elements)):
            vectors[part] = _describe_alike([structures[index].atoms for index in part], elements)
    return vectors


def _parts(members: list[int], structures: Sequence[Structure], n_elements: int) -> Iterator[list[int]]:
    """Cut a list of frames where their power spectra would take too much memory at once."""
    per_atom = n_elements * (n_elements + 1) // 2 * VALUES_PER_PAIR
    part: list[int] = []
    n_atoms = 0
    for index in members:
        if part and (n_atoms + len(structures[index])) * per_atom > VALUES_PER_CALL:
            yield part
            part, n_atoms = [], 0
        part.append(index)
        n_atoms += len(structures[index])
    yield part


def _describe_alike(frames: list[Atoms], elements: tuple[str, ...]) -> FloatArray:
    from metatensor import Labels

    systems = [prepare_atoms(atoms, CUTOFF) for atoms in frames]
    for system in systems:
        if not system.pbc.any():
            # featomic warns of a cell that it does not use.
            system.cell[:] = 0.0
    types = sorted(atomic_numbers[element] for element in elements)
    pairs = list(itertools.combinations_with_replacement(types, 2))
    # All keys are asked for: the columns must not depend on which elements happen to be neighbours.
    keys = np.array([(center, *pair) for center in types for pair in pairs], dtype=np.int32)
    labels = Labels(['center_type', 'neighbor_1_type', 'neighbor_2_type'], keys)
    spectrum = _power_spectrum().compute(systems, selected_keys=labels, use_native_system=True)
    moments: list[FloatArray] = []
    sizes = [len(atoms) for atoms in frames]
    starts, numbers = np.cumsum([0, *sizes]), np.concatenate([atoms.numbers for atoms in frames])
    for center in types:
        blocks = [spectrum.block(center_type=center, neighbor_1_type=a, neighbor_2_type=b) for a, b in pairs]
        atoms_of_type = np.flatnonzero(numbers == center)
        # A block leaves out the atoms that have no neighbours of its types: theirs are zeros.
        values = np.zeros((len(atoms_of_type), sum(block.values.shape[1] for block in blocks)))
        column = 0
        for block in blocks:
            rows = np.searchsorted(atoms_of_type, starts[block.samples['system']] + block.samples['atom'])
            width = block.values.shape[1]
            values[rows, column : column + width] = block.values
            column += width
        _take_root(values, np.concatenate([block.properties['l'] for block in blocks]))
        moments += _moments(values, np.repeat(np.arange(len(frames)), sizes)[atoms_of_type], len(frames))
    vectors = np.hstack(moments)
    norms = np.linalg.norm(vectors, axis=1)[:, None]
    lengths = np.array([[_length(atoms)] for atoms in frames])
    return np.hstack([_fold(vectors / norms), np.log(norms), np.log(lengths)])


@functools.cache
def _power_spectrum() -> Any:
    """The calculator; its radial integrals take 40 ms to set up."""
    from featomic import SoapPowerSpectrum

    return SoapPowerSpectrum(**SOAP)


def _take_root(values: FloatArray, angular: Array) -> None:
    """Make the power spectra (n_atoms, n) linear in the density, in place.

    Each angular channel is divided by the root of its norm: what is zero by symmetry then grows with the first order
    of a distortion, not with the second.
    """
    for channel in np.unique(angular):
        columns = angular == channel
        norms = np.sqrt(np.linalg.norm(values[:, columns], axis=1))[:, None]
        values[:, columns] /= np.where(norms > 0, norms, 1.0)


def _moments(values: FloatArray, systems: Array, n_systems: int) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation over the atoms of each system; atoms are sorted by system, none is empty."""
    starts = np.searchsorted(systems, np.arange(n_systems))
    counts = np.diff([*starts, len(systems)])[:, None]
    means = np.add.reduceat(values, starts) / counts
    values -= means[systems]
    return means, np.sqrt(np.add.reduceat(values**2, starts) / counts)


def _fold(vectors: FloatArray) -> FloatArray:
    """Add the columns, with random signs, up in N_SLOTS random groups: distances stay, to some 20 %."""
    from scipy.sparse import csr_array

    n_columns = vectors.shape[1]
    rng = np.random.default_rng(n_columns)
    slots, signs = rng.integers(N_SLOTS, size=n_columns), rng.choice([-1.0, 1.0], size=n_columns)
    return np.asarray(vectors @ csr_array((signs, (np.arange(n_columns), slots)), shape=(n_columns, N_SLOTS)))


def _length(atoms: Atoms) -> float:
    """Length (Å) that tells apart what has no neighbours within the cutoff: spacing of atoms, or size of a molecule."""
    n_periodic = int(atoms.pbc.sum())
    if not n_periodic:
        return 1.0 + float(np.sqrt(atoms.positions.var(axis=0).sum()))
    vectors = atoms.cell.array[atoms.pbc]
    return float((np.sqrt(np.linalg.det(vectors @ vectors.T)) / len(atoms)) ** (1 / n_periodic))


def kind(structure: Structure) -> Kind:
    """What near duplicates share: periodicity, composition (reduced if there is any), magnetic moments, charge, spin.

    Moments are compared atom by atom, whatever the geometry: no ferromagnet is thrown away for its antiferromagnet.
    """
    numbers, counts = np.unique(structure.atoms.numbers, return_counts=True)
    n_periodic = int(structure.atoms.pbc.sum())
    if n_periodic and len(counts):
        counts = counts // np.gcd.reduce(counts)
    state = structure.electronic_state()
    return (n_periodic, *numbers.tolist(), *counts.tolist(), *state)


class _Forest:
    """Points in k-d trees of decreasing size: adding many, one or thousands at a time, costs few rebuilds."""

    def __init__(self) -> None:
        self.keys: list[list[str]] = []
        self.trees: list[Any] = []

    def nearest(self, vectors: FloatArray, tolerance: float) -> list[Match | None]:
        found: list[Match | None] = [None] * len(vectors)
        for keys, tree in zip(self.keys, self.trees, strict=True):
            # The bound of the tree is exclusive, the tolerance is not.
            distances, places = tree.query(vectors, distance_upper_bound=np.nextafter(tolerance, np.inf))
            for row in np.flatnonzero(np.isfinite(distances)):
                found[row] = _nearer(found[row], (keys[places[row]], float(distances[row])))
        return found

    def add(self, keys: list[str], vectors: FloatArray) -> None:
        from scipy.spatial import cKDTree

        while self.trees and self.trees[-1].n < 2 * len(vectors):
            keys = self.keys.pop() + keys
            vectors = np.vstack([self.trees.pop().data, vectors])
        self.keys.append(keys)
        self.trees.append(cKDTree(vectors))


class NearDuplicates:
    """Streaming index of frames that finds near duplicates of new ones among them.

    Takes some 0.6 kB per member.

    Parameters
    ----------
    tolerance
        Largest distance (relative, without unit) of near duplicates.

    Raises
    ------
    ValueError
        If the tolerance is not a positive number.
    """

    def __init__(self, tolerance: float = DEFAULT_TOLERANCE) -> None:
        self.tolerance = _checked(tolerance)
        self._forests: dict[Kind, _Forest] = defaultdict(_Forest)

    def add(self, key: str, structure: Structure) -> Match | None:
        """Key and distance of the nearest member within the tolerance; without one the frame becomes a member.

        Raises
        ------
        ValueError
            If the frame cannot be described (see :func:`describe`).
        """
        return self.add_many([key], [structure])[0]

    def add_many(self, keys: Sequence[str], structures: Sequence[Structure]) -> list[Match | None]:
        """Add frames, one after the other as :meth:`add` does, at the lower cost of describing many at once."""
        matches: list[Match | None] = []
        for start in range(0, len(structures), BATCH):
            part = slice(start, start + BATCH)
            matches += self._add_batch(keys[part], structures[part])
        return matches

    def find(self, structure: Structure) -> Match | None:
        """Key and distance of the nearest member within the tolerance, or None; the frame does not become a member.

        Raises
        ------
        ValueError
            If the frame cannot be described (see :func:`describe`).
        """
        return self.find_many([structure])[0]

    def find_many(self, structures: Sequence[Structure]) -> list[Match | None]:
        """Find as :meth:`find` does, at the lower cost of describing many at once."""
        matches: list[Match | None] = [None] * len(structures)
        for found, rows, vectors in _by_kind(structures):
            if found in self._forests:
                for row, match in zip(rows, self._forests[found].nearest(vectors, self.tolerance), strict=True):
                    matches[row] = match
        return matches

    def _add_batch(self, keys: Sequence[str], structures: Sequence[Structure]) -> list[Match | None]:
        matches: list[Match | None] = [None] * len(structures)
        for found, rows, vectors in _by_kind(structures):
            nearest = self._forests[found].nearest(vectors, self.tolerance)
            new: dict[int, str] = {}
            for place, earlier in enumerate(_earlier_neighbours(vectors, self.tolerance)):
                match = nearest[place]
                for other, distance in earlier:
                    if other in new:
                        match = _nearer(match, (new[other], distance))
                matches[rows[place]] = match
                if match is None:
                    new[place] = keys[rows[place]]
            if new:
                self._forests[found].add(list(new.values()), vectors[list(new)])
        return matches


def near_pairs(
    structures: Iterable[Structure], tolerance: float = DEFAULT_TOLERANCE
) -> Iterator[tuple[int, int, float]]:
    """All pairs of near duplicates: places i < j in the order given, and the distance.

    Holds the descriptors of all frames (0.6 kB each), not the frames, and the pairs of one frame at a time.

    Raises
    ------
    ValueError
        If the tolerance is not a positive number, or a frame cannot be described (see :func:`describe`).
    """
    _checked(tolerance)
    places: dict[Kind, list[int]] = defaultdict(list)
    parts: dict[Kind, list[FloatArray]] = defaultdict(list)
    frames = iter(structures)
    start = 0
    while batch := list(itertools.islice(frames, BATCH)):
        for found, rows, vectors in _by_kind(batch):
            places[found] += [start + row for row in rows]
            parts[found].append(vectors)
        start += len(batch)
    for found, members in places.items():
        for second, earlier in enumerate(_earlier_neighbours(np.vstack(parts[found]), tolerance)):
            yield from ((members[first], members[second], distance) for first, distance in earlier)


def _by_kind(structures: Sequence[Structure]) -> Iterator[tuple[Kind, list[int], FloatArray]]:
    """Rows and descriptors of the frames, kind by kind."""
    vectors = describe(structures)
    rows: dict[Kind, list[int]] = defaultdict(list)
    for row, structure in enumerate(structures):
        rows[kind(structure)].append(row)
    for found, members in rows.items():
        yield found, members, vectors[members]


def _earlier_neighbours(vectors: FloatArray, tolerance: float) -> Iterator[list[tuple[int, float]]]:
    """For each row the earlier rows within the tolerance, with their distance."""
    from scipy.spatial import cKDTree

    tree = cKDTree(vectors)
    # One row at a time: a batch of a large dataset of frames that are all alike has 10^8 neighbours.
    for second, vector in enumerate(vectors):
        near = np.array(tree.query_ball_point(vector, tolerance))
        earlier = np.sort(near[near < second])
        distances = np.linalg.norm(vectors[earlier] - vector, axis=1)
        yield list(zip(earlier.tolist(), distances.tolist(), strict=True))


def _nearer(match: Match | None, other: Match) -> Match:
    return other if match is None or other[1] < match[1] else match


def _checked(tolerance: float) -> float:
    if not (np.isfinite(tolerance) and tolerance > 0):
        raise ValueError(f'the tolerance of near duplicates must be a positive number, not {tolerance}')
    return float(tolerance)
