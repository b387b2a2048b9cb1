"""Health of a dataset: planted faults are found, and sparse data give no crash."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from aiida_traincraft.science.datasets.distribution import distribution, find_outliers
from aiida_traincraft.science.datasets.health import dataset_health
from aiida_traincraft.science.structure import Structure


def frame(seed, symbol='Cu', a=3.6, stdev=0.1, **facts):
    """Cell of four atoms with harmonic energy and forces."""
    atoms = bulk(symbol, 'fcc', a=a, cubic=True)
    moves = np.random.default_rng(seed).normal(scale=stdev, size=(4, 3))
    atoms.positions += moves
    properties = {'energy': -16.0 + 2.0 * float((moves**2).sum()), 'forces': -4.0 * moves}
    return Structure(atoms, properties, facts)


def health_of(train, test=(), e0=None, **options):
    items = [(f'train-{row}', 'train', structure) for row, structure in enumerate(train)]
    items += [(f'test-{row}', 'test', structure) for row, structure in enumerate(test)]
    return dataset_health(iter(items), {'train': len(train), 'test': len(test), 'e0': 1}, e0 or {}, **options)


def found(health, quantity):
    return next(one for one in health.distributions if one.quantity == quantity)


@pytest.fixture(scope='module')
def train():
    return [frame(seed, system='bulk' if seed % 2 else 'other') for seed in range(60)]


def test_what_there_is_and_its_numbers(train):
    health = health_of(train, [frame(100)], e0={'Cu': -1.0})
    assert health.counts == {'train': 60, 'test': 1, 'e0': 1}
    assert health.elements == {'Cu': 61}
    assert health.formulas == {'Cu4': 61}
    assert health.systems == {'other': 30, 'bulk': 30, 'unknown': 1}
    volume = found(health, 'volume')
    assert (volume.unit, volume.n) == ('Å³/atom', 61)
    assert volume.median == pytest.approx(3.6**3 / 4)
    assert sum(volume.counts) == 61
    # 63.546 g/mol x 4 / N_A over the volume of the cell.
    assert found(health, 'density').mean == pytest.approx(63.546 * 4 / 0.602214076 / 3.6**3)
    energies = [structure.properties['energy'] / 4 + 1.0 for structure in [*train, frame(100)]]
    assert found(health, 'cohesive energy').mean == pytest.approx(np.mean(energies))
    assert found(health, 'cohesive energy').maximum == pytest.approx(max(energies))
    assert found(health, 'force on Cu').n == 4 * 61
    assert not health.outliers


def test_energies_are_total_where_an_isolated_atom_is_missing(train):
    health = health_of([*train[:3], frame(7, symbol='Al', a=4.05)], e0={'Cu': -1.0})
    assert found(health, 'energy').n == 4
    assert [one.quantity for one in health.distributions if 'energy' in one.quantity] == ['energy']


def test_outliers_are_named(train):
    spoilt = [structure.copy() for structure in train]
    spoilt[17].properties['energy'] += 40.0
    spoilt[42].properties['forces'][2] *= 60.0
    health = health_of(spoilt)
    assert {(one.label, one.quantity, one.group) for one in health.outliers} == {
        ('train-17', 'energy', 'Cu'),
        ('train-42', 'force', 'Cu'),
    }
    energy = next(one for one in health.outliers if one.quantity == 'energy')
    assert energy.value == pytest.approx(spoilt[17].properties['energy'] / 4)
    assert energy.median == pytest.approx(np.median([one.properties['energy'] / 4 for one in spoilt]))
    assert [one.score for one in health.outliers] == sorted((one.score for one in health.outliers), reverse=True)


def test_energies_are_compared_within_a_composition(train):
    others = [frame(seed, symbol='Al', a=4.05) for seed in range(60, 90)]
    for structure in others:
        structure.properties['energy'] -= 100.0
    assert not health_of([*train, *others]).outliers


def test_no_outlier_among_few_or_equal_values():
    labels = ['a'] * 10
    names = ('energy', 'Cu', 'eV/atom')
    few = np.array([0.0, 0.1, 0.2, 9.0])
    assert not find_outliers(labels, few, few, names)
    equal = np.array([*[1.0] * 9, 1.0 + 1e-13])
    assert not find_outliers(labels, equal, equal, names)


def test_repetition(train):
    rotated = train[0].copy()
    rotated.atoms.rotate(30, 'z', rotate_cell=True)
    redundancy = health_of([*train, rotated, train[1].copy()]).redundancy
    assert (redundancy.n_described, redundancy.n_near) == (62, 4)
    assert health_of(train).redundancy.n_near == 0


def test_coverage_of_a_test_set_of_the_same_kind_and_of_a_shifted_one(train):
    same = health_of(train, [frame(seed) for seed in range(200, 230)]).coverage
    assert same.n_beyond <= 6
    assert same.n_near == 0
    shifted = health_of(train, [frame(seed, a=3.9) for seed in range(200, 230)]).coverage
    assert shifted.n_beyond == 30
    assert shifted.threshold == same.threshold == pytest.approx(np.percentile(distances(train), 95))
    assert shifted.test.median > 3 * shifted.train.median
    assert len(shifted.farthest) == 5
    assert all(label.startswith('test-') and far > shifted.threshold for label, far in shifted.farthest)
    copied = health_of(train, [train[3].copy()]).coverage
    assert (copied.n_near, copied.n_beyond) == (1, 0)


def distances(structures):
    from aiida_traincraft.science.datasets.near_duplicates import describe

    vectors = describe(structures)
    table = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    np.fill_diagonal(table, np.inf)
    return table.min(axis=0)


def test_what_the_test_set_has_and_training_lacks(train):
    coverage = health_of(train, [frame(0, symbol='Al', a=4.05), frame(300)]).coverage
    assert coverage.new_elements == ['Al']
    assert coverage.new_compositions == ['Al']
    assert coverage.farthest[0] == ('test-0', None)
    assert coverage.n_beyond >= 1


def test_a_large_split_is_sampled(train):
    health = health_of(train, [frame(seed) for seed in range(200, 230)], max_described=20, seed=3)
    assert health.redundancy.n_described == 20
    assert health.coverage.n_described == 20
    assert found(health, 'volume').n == 90
    assert health == health_of(train, [frame(seed) for seed in range(200, 230)], max_described=20, seed=3)


def test_sparse_datasets():
    empty = health_of([])
    assert (empty.distributions, empty.redundancy, empty.coverage) == ([], None, None)
    single = health_of([frame(1)])
    assert found(single, 'volume').std == 0.0
    assert single.redundancy.n_near == 0
    assert health_of([], [frame(1)]).coverage is None
    one_each = health_of([frame(1)], [frame(2)]).coverage
    assert (one_each.threshold, one_each.n_beyond, one_each.train) == (None, None, None)
    assert one_each.test.n == 1


def test_molecules_without_labels():
    frames = [Structure(molecule(name)) for name in ('H2O', 'CH4')] + [Structure(Atoms('H'))]
    health = health_of(frames)
    assert [one.quantity for one in health.distributions] == ['atoms']
    assert health.elements == {'H': 3, 'O': 1, 'C': 1}


def test_bins_that_grow():
    grown = distribution('distance', '', [0.0, 1e-3, 1.0], logarithmic=True)
    assert grown.minimum == 1e-8
    assert sum(grown.counts) == 3
    assert sum(distribution('distance', '', [0.0, 0.0], logarithmic=True).counts) == 2
