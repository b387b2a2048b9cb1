"""Ways in which atoms come closer than in any training structure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list

from aiida_traincraft.science.atoms.arrays import FloatArray, IntArray
from aiida_traincraft.science.models.ace_file import CORE_SWITCH, Pair, add_core_repulsion, contact, core_onsets
from aiida_traincraft.science.models.cells import prepare_atoms
from aiida_traincraft.science.models.pyace_import import import_pyace

STEP, SHARE = 0.06, 0.05
"""Largest step (Å), and as a share of the distance that a way ends at: four lie within the switch of the core
repulsion."""
COMPRESSED, SQUEEZED = 10, 3
"""Structures that are compressed, and that have their shortest pair of each kind pushed together."""
MOST_ATOMS = 1000
"""Atoms of such structures together, each of which is evaluated some twenty times."""
DIMER_BENT, DIMER_REPELS = 1.3, 0.8
"""Distances, as fractions of the sum of the covalent radii, inside which the energy of a pair alone has one minimum and
no barrier, and inside which it repels: free pairs are bound at 0.77 (N2) to 1.2 (H2) of it, where the data of their
crystals may show none."""
EVENING = 30
"""Steps that take out the disorder."""
FIRST_SHELL = 1.3
"""Bonds are no longer than so many times a short one of their kind."""

Near = dict[Pair, tuple[float, int, int, FloatArray]]
"""Shortest distance (Å) of each pair of elements, its atoms, and the vector between them."""


@dataclass(frozen=True)
class Step:
    """Atoms on their way, and what the core repulsion alone gives each (eV)."""

    atoms: Atoms
    core: FloatArray
    nearest: dict[Pair, FloatArray]
    """Distance (Å) of each atom's nearest neighbour by which it forms such a pair; infinite without one."""

    def share(self, onsets: Mapping[Pair, float]) -> FloatArray:
        """Share of ACE in the energy of each atom: the neighbour that is deepest inside switches it off."""
        depths = [(1.0 - distances / onsets[pair]) / CORE_SWITCH for pair, distances in self.nearest.items()]
        deepest = np.clip(np.max(depths, axis=0), 0.0, 1.0)
        return np.asarray(1.0 - deepest**3 * (10.0 - 15.0 * deepest + 6.0 * deepest**2), float)

    def nearest_pair(self, onsets: Mapping[Pair, float]) -> Pair:
        """Pair whose atoms are nearest to each other, in units of its onset."""
        return min(self.nearest, key=lambda pair: float(self.nearest[pair].min()) / onsets[pair])


@dataclass(frozen=True)
class Way:
    """Steps inwards, the first of them that has to rise, and whether all atoms come closer."""

    steps: list[Step]
    rising: int
    is_compressed: bool


def approaches(basis: Any, frames: Sequence[Atoms], shortest: Mapping[Pair, float]) -> list[Way]:
    """Ways in which atoms come closer than in any frame, to where the core repulsion is alone whatever its onset.

    Pairs alone; the shortest pair of each kind pushed together where it stands; and whole structures compressed: those
    with the shortest distances, and others.

    Parameters
    ----------
    basis
        pyace's ``ACEBBasisSet``.
    frames
        Training structures.
    shortest
        Shortest distance (Å) of each pair of elements in them.
    """
    pyace = import_pyace()
    onsets = core_onsets(list(basis.elements_name), shortest)
    alone = basis.to_BBasisConfiguration()
    add_core_repulsion(alone, dict.fromkeys(onsets, 2.0 * basis.cutoffmax))
    calculator = pyace.PyACECalculator(alone)

    reach = max(*onsets.values(), *shortest.values(), 0.0)

    def step(atoms: Atoms) -> Step:
        calculator.calculate(prepare_atoms(atoms, basis.cutoffmax))
        found = {pair: np.full(len(atoms), np.inf) for pair in onsets}
        for pair, one, _, distances, _ in _pairs(atoms, reach):
            np.minimum.at(found[pair], one, distances)
        return Step(atoms, np.asarray(calculator.results['energies'], float), found)

    inner = {pair: (1.0 - CORE_SWITCH) * onset for pair, onset in onsets.items()}
    return [
        Way([step(atoms) for atoms in way], rising, whole)
        for way, rising, whole in _ways(frames, shortest, inner, basis.cutoffmax)
    ]


def _ways(
    frames: Sequence[Atoms], shortest: Mapping[Pair, float], inner: Mapping[Pair, float], cutoff: float
) -> Iterator[tuple[Iterator[Atoms], int, bool]]:
    """Atoms of each way, and what a :class:`Way` says of them."""
    for pair, end in inner.items():
        distances = _distances(min(shortest.get(pair, np.inf), DIMER_BENT * contact(pair)), end)
        rising = max(1, int(np.argmax(distances <= DIMER_REPELS * contact(pair))))
        yield (Atoms(pair, [[0, 0, 0], [distance, 0, 0]]) for distance in distances), rising, False
    reach = min(cutoff, 1.5 * max(shortest.values(), default=0.0))
    nearest = [_nearest(atoms, reach) for atoms in frames]
    for pair, start in shortest.items():
        having = sorted((near[pair][0], index) for index, near in enumerate(nearest) if pair in near)
        for index in _few([index for _, index in having[:SQUEEZED]], frames):
            _, first, second, vector = nearest[index][pair]
            if first != second:
                distances = _distances(start, inner[pair])
                yield (_squeezed(frames[index], first, second, vector, distance) for distance in distances), 1, False
    tight = {index: _tightness(near, shortest) for index, near in enumerate(nearest) if near}
    order, half = sorted(tight, key=lambda index: -tight[index]), COMPRESSED // 2
    some = dict.fromkeys([*order[:half], *order[half :: max(1, len(order) // half)]])
    chosen = [frames[index] for index in _few(some, frames)]
    for atoms in [*chosen, *(_evened(atoms, reach) for atoms in chosen if atoms.pbc.all())]:
        near = _nearest(atoms, reach)
        length = min(found[0] for found in near.values())
        start, end = _tightness(near, shortest), _alone(atoms, inner, reach)
        scales = _distances(start * length, end * length) / length
        yield (_scaled(atoms, scale) for scale in scales), 1, True


def _few(indices: Iterable[int], frames: Sequence[Atoms]) -> list[int]:
    """Those of some structures that are not too many atoms together; at least the first."""
    chosen: list[int] = []
    atoms = 0
    for index in indices:
        atoms += len(frames[index])
        if not chosen or atoms <= MOST_ATOMS:
            chosen.append(index)
    return chosen


def _distances(start: float, end: float) -> FloatArray:
    return np.linspace(start, end, 1 + max(1, int(np.ceil((start - end) / min(STEP, SHARE * end)))))


def _pairs(atoms: Atoms, reach: float) -> Iterator[tuple[Pair, IntArray, IntArray, FloatArray, FloatArray]]:
    """Neighbours by pair of elements: atoms, distances (Å) and vectors."""
    symbols = np.array(atoms.get_chemical_symbols())
    first, second, distances, vectors = neighbor_list('ijdD', atoms, reach)
    for a, b in combinations_with_replacement(sorted(set(symbols)), 2):
        chosen = ((symbols[first] == a) & (symbols[second] == b)) | ((symbols[first] == b) & (symbols[second] == a))
        if chosen.any():
            yield (str(a), str(b)), first[chosen], second[chosen], distances[chosen], vectors[chosen]


def _nearest(atoms: Atoms, reach: float) -> Near:
    found: Near = {}
    for pair, first, second, distances, vectors in _pairs(atoms, reach):
        index = int(distances.argmin())
        found[pair] = (float(distances[index]), int(first[index]), int(second[index]), vectors[index])
    return found


def _tightness(near: Near, shortest: Mapping[Pair, float]) -> float:
    """Factor of all lengths at which the first pair is as short as any of its kind."""
    return max(shortest[pair] / found[0] for pair, found in near.items())


def _alone(atoms: Atoms, inner: Mapping[Pair, float], reach: float) -> float:
    """Factor of all lengths at which even the loneliest atom has a neighbour at its inner distance."""
    factors = np.zeros(len(atoms))
    for pair, first, _, distances, _ in _pairs(atoms, reach):
        np.maximum.at(factors, first, inner[pair] / distances)
    return float(factors[factors > 0].min())


def _evened(atoms: Atoms, reach: float) -> Atoms:
    """Thermal disorder taken out: bonds of a kind are drawn to their mean length.

    In a disordered structure the core repulsion of the closest pairs hides what all atoms at one distance would do.
    """
    moved = atoms.copy()
    for _ in range(EVENING):
        pulls = np.zeros((len(moved), 3))
        for _, first, _, distances, vectors in _pairs(moved, reach):
            shell = distances < FIRST_SHELL * np.quantile(distances, 0.05)
            lengths, bonds = distances[shell], vectors[shell]
            np.add.at(pulls, first[shell], ((lengths - lengths.mean()) / lengths)[:, None] * bonds)
        moved.positions += 0.1 * pulls
    return moved


def _squeezed(atoms: Atoms, first: int, second: int, vector: FloatArray, distance: float) -> Atoms:
    """Two atoms moved towards each other, each by half of it."""
    moved = atoms.copy()
    shift = 0.5 * (1.0 - distance / np.linalg.norm(vector)) * vector
    moved.positions[first] += shift
    moved.positions[second] -= shift
    return moved


def _scaled(atoms: Atoms, scale: float) -> Atoms:
    return Atoms(atoms.numbers, scale * atoms.positions, cell=scale * atoms.cell.array, pbc=atoms.pbc)
