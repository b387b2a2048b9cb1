"""What is in a dataset: distributions, outliers, repetition, and how far the sealed set lies from the training set."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase.formula import Formula
from ase.units import _amu

from aiida_traincraft.science.atoms.arrays import Array
from aiida_traincraft.science.datasets.distribution import Distribution, Outlier, distribution, find_outliers
from aiida_traincraft.science.datasets.near_duplicates import DEFAULT_TOLERANCE, N_FEATURES, describe, kind
from aiida_traincraft.science.structure import Structure

MAX_DESCRIBED = 5000
"""Frames of a split that get a descriptor; of more, a random sample."""
COVERED_PERCENTILE = 95.0
N_FARTHEST = 5
DESCRIBED_AT_ONCE = 200
# From amu/Å³ to g/cm³.
DENSITY_UNIT = _amu * 1e3 / 1e-24


@dataclass(frozen=True)
class Redundancy:
    """Repetition among the training frames."""

    n_described: int
    n_near: int
    """Described frames that have a near duplicate among the described."""
    tolerance: float


@dataclass(frozen=True)
class Coverage:
    """The sealed set in the descriptor space of the training set; frames are compared with those of their elements."""

    n_described: int
    n_near: int
    """Described test frames that have a near duplicate among the described training frames."""
    threshold: float | None
    """95th percentile of the distance of a training frame to the nearest other; None if no two can be compared."""
    n_beyond: int | None
    """Described test frames farther than the threshold from any training frame."""
    farthest: list[tuple[str, float | None]]
    """UUIDs and distances of the test frames farthest from training; None where no training frame has the elements."""
    new_elements: list[str]
    new_compositions: list[str]
    train: Distribution | None
    """Distance of a training frame to the nearest other."""
    test: Distribution | None
    """Distance of a test frame to the nearest training frame."""


@dataclass(frozen=True)
class Health:
    """State of a dataset; ``redundancy`` and ``coverage`` are None where frames for them are missing."""

    counts: dict[str, int]
    """Frames of each split."""
    elements: dict[str, int]
    """Frames that hold the element; this, formulas and systems are of the training and the test frames together."""
    formulas: dict[str, int]
    systems: dict[str, int]
    distributions: list[Distribution]
    outliers: list[Outlier]
    redundancy: Redundancy | None
    coverage: Coverage | None


@dataclass
class _Described:
    """Descriptors of the frames of one split."""

    labels: list[str] = field(default_factory=list)
    elements: list[str] = field(default_factory=list)
    kinds: list[tuple[int, ...]] = field(default_factory=list)
    parts: list[Array] = field(default_factory=list)

    @functools.cached_property
    def vectors(self) -> Array:
        return np.vstack([np.empty((0, N_FEATURES)), *self.parts])


def dataset_health(
    items: Iterable[tuple[str, str, Structure]],
    counts: Mapping[str, int],
    e0: Mapping[str, float],
    tolerance: float = DEFAULT_TOLERANCE,
    max_described: int = MAX_DESCRIBED,
    seed: int = 0,
) -> Health:
    """Look at all labelled frames of a dataset, one after the other.

    Keeps numbers and descriptors, not frames.

    Parameters
    ----------
    items
        UUID of the label, split (``train`` or ``test``), and labelled frame.
    counts
        Number of frames of each split.
    e0
        Isolated-atom energies (eV); energies are cohesive if those of all elements are there.
    tolerance
        Largest relative distance of near duplicates.
    max_described
        Frames of each split that get a descriptor; of a larger split a random sample does.
    seed
        Seed of the sample.
    """
    rng = np.random.default_rng(seed)
    sampled = {split: _sample(counts.get(split, 0), max_described, rng) for split in ('train', 'test')}
    scalars = _Scalars(e0)
    described = {'train': _Described(), 'test': _Described()}
    waiting: dict[str, list[tuple[str, Structure]]] = {'train': [], 'test': []}
    seen: Counter[str] = Counter()
    for label, split, structure in items:
        scalars.add(label, split, structure)
        if seen[split] in sampled[split]:
            waiting[split].append((label, structure))
            if len(waiting[split]) == DESCRIBED_AT_ONCE:
                _describe(waiting[split], described[split])
        seen[split] += 1
    for split, frames in waiting.items():
        _describe(frames, described[split])
    train, test = described['train'], described['test']
    return Health(
        counts=dict(counts),
        elements=dict(scalars.elements.most_common()),
        formulas=dict(scalars.formulas.most_common()),
        systems=dict(scalars.systems.most_common()),
        distributions=scalars.distributions(),
        outliers=scalars.outliers(),
        redundancy=_redundancy(train, tolerance) if train.labels else None,
        coverage=_coverage(train, test, tolerance, scalars) if train.labels and test.labels else None,
    )


def _sample(count: int, most: int, rng: np.random.Generator) -> frozenset[int]:
    chosen = range(count) if count <= most else rng.choice(count, most, replace=False)
    return frozenset(int(place) for place in chosen)


def _describe(frames: list[tuple[str, Structure]], into: _Described) -> None:
    into.labels += [label for label, _ in frames]
    into.elements += [' '.join(structure.elements) for _, structure in frames]
    into.kinds += [kind(structure) for _, structure in frames]
    into.parts.append(describe([structure for _, structure in frames]))
    frames.clear()


class _Scalars:
    """Numbers of all frames."""

    def __init__(self, e0: Mapping[str, float]) -> None:
        self.e0 = e0
        self.elements: Counter[str] = Counter()
        self.formulas: Counter[str] = Counter()
        self.systems: Counter[str] = Counter()
        self.seen: dict[str, set[str]] = defaultdict(set)
        """Elements and compositions by split."""
        self.values: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.energies: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
        """Label, energy and sum of E0 (NaN if unknown), per atom, by composition."""
        self.norms: dict[str, list[Array]] = defaultdict(list)
        """Force norms of each frame by element."""
        self.owners: dict[str, list[str]] = defaultdict(list)
        """Labels of the frames behind ``norms``."""

    def add(self, label: str, split: str, structure: Structure) -> None:
        atoms = structure.atoms
        composition = _reduced(structure.formula)
        self.elements.update(structure.elements)
        self.formulas[structure.formula] += 1
        self.systems[str(structure.provenance.get('system') or 'unknown')] += 1
        self.seen[split].update(structure.elements)
        self.seen[f'{split} composition'].add(composition)
        self.values['atoms', ''].append(len(structure))
        if atoms.pbc.all():
            self.values['volume', 'Å³/atom'].append(atoms.get_volume() / len(structure))
            self.values['density', 'g/cm³'].append(atoms.get_masses().sum() / atoms.get_volume() * DENSITY_UNIT)
        if 'energy' in structure.properties:
            reference = sum(self.e0.get(symbol, np.nan) for symbol in atoms.get_chemical_symbols())
            energy = structure.properties['energy']
            self.energies[composition].append((label, energy / len(structure), reference / len(structure)))
        if 'forces' in structure.properties:
            norms = np.linalg.norm(structure.properties['forces'], axis=1).astype(np.float32)
            self.values['largest force', 'eV/Å'].append(float(norms.max()))
            for symbol in structure.elements:
                self.norms[symbol].append(norms[atoms.symbols == symbol])
                self.owners[symbol].append(label)

    @functools.cached_property
    def _relative(self) -> bool:
        return all(np.isfinite(reference) for rows in self.energies.values() for _, _, reference in rows)

    @property
    def _energy_name(self) -> str:
        return 'cohesive energy' if self._relative else 'energy'

    def _energies(self, composition: str) -> Array:
        table = np.array([(energy, reference) for _, energy, reference in self.energies[composition]])
        return np.asarray(table[:, 0] - table[:, 1] if self._relative else table[:, 0])

    def distributions(self) -> list[Distribution]:
        found = [distribution(name, unit, values) for (name, unit), values in self.values.items()]
        if self.energies:
            energies = np.concatenate([self._energies(composition) for composition in self.energies])
            found.append(distribution(self._energy_name, 'eV/atom', energies))
        found += [
            distribution(f'force on {key}', 'eV/Å', np.concatenate(self.norms[key])) for key in sorted(self.norms)
        ]
        return found

    def outliers(self) -> list[Outlier]:
        """Furthest first."""
        found: list[Outlier] = []
        for composition, rows in self.energies.items():
            values = self._energies(composition)
            labels = [label for label, _, _ in rows]
            found += find_outliers(labels, values, values, (self._energy_name, composition, 'eV/atom'))
        for symbol, norms in self.norms.items():
            largest = np.array([values.max() for values in norms])
            found += find_outliers(self.owners[symbol], largest, np.concatenate(norms), ('force', symbol, 'eV/Å'))
        return sorted(found, key=lambda outlier: -outlier.score)


@functools.cache
def _reduced(formula: str) -> str:
    return str(Formula(formula).reduce()[0].format('hill'))


def _redundancy(train: _Described, tolerance: float) -> Redundancy:
    nearest = _nearest_other(train.kinds, train.vectors)
    return Redundancy(len(train.labels), int(np.sum(nearest <= tolerance)), tolerance)


def _coverage(train: _Described, test: _Described, tolerance: float, scalars: _Scalars) -> Coverage:
    between = _nearest_other(train.elements, train.vectors)
    nearest = _nearest(train.elements, train.vectors, test.elements, test.vectors)
    near = _nearest(train.kinds, train.vectors, test.kinds, test.vectors) <= tolerance
    known = between[np.isfinite(between)]
    threshold = float(np.percentile(known, COVERED_PERCENTILE)) if len(known) else None
    reached = nearest[np.isfinite(nearest)]
    seen = scalars.seen
    return Coverage(
        n_described=len(test.labels),
        n_near=int(near.sum()),
        threshold=threshold,
        n_beyond=None if threshold is None else int(np.sum(nearest > threshold)),
        farthest=[
            (test.labels[row], float(nearest[row]) if np.isfinite(nearest[row]) else None)
            for row in np.argsort(-nearest, kind='stable').tolist()[:N_FARTHEST]
        ],
        new_elements=sorted(seen['test'] - seen['train']),
        new_compositions=sorted(seen['test composition'] - seen['train composition']),
        train=distribution('train to nearest other', '', known, logarithmic=True) if len(known) else None,
        test=distribution('test to nearest train', '', reached, logarithmic=True) if len(reached) else None,
    )


def _nearest(keys: Sequence[Any], vectors: Array, query_keys: Sequence[Any], queries: Array) -> Array:
    """Distance of each query to the nearest vector of the same key; infinite without one."""
    from scipy.spatial import cKDTree

    distances = np.full(len(queries), np.inf)
    members = _rows(keys)
    for key, rows in _rows(query_keys).items():
        if key in members:
            distances[rows] = cKDTree(vectors[members[key]]).query(queries[rows])[0]
    return distances


def _nearest_other(keys: Sequence[Any], vectors: Array) -> Array:
    """Distance of each vector to the nearest other one of the same key; infinite without one."""
    from scipy.spatial import cKDTree

    distances = np.full(len(vectors), np.inf)
    for rows in _rows(keys).values():
        if len(rows) > 1:
            # The nearest is the vector itself.
            distances[rows] = cKDTree(vectors[rows]).query(vectors[rows], k=2)[0][:, 1]
    return distances


def _rows(keys: Sequence[Any]) -> dict[Any, list[int]]:
    rows: dict[Any, list[int]] = defaultdict(list)
    for row, key in enumerate(keys):
        rows[key].append(row)
    return rows
