"""Near duplicates: what is one configuration, what is another, and the index of many frames."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from ase import Atoms
from ase.build import add_adsorbate, bulk, fcc111, molecule
from scipy.spatial.transform import Rotation

from aiida_traincraft.science.datasets import near_duplicates
from aiida_traincraft.science.datasets.near_duplicates import DEFAULT_TOLERANCE, NearDuplicates, describe, near_pairs
from aiida_traincraft.science.structure import Structure


def rattled(atoms, stdev, seed=0, pbc=None):
    rng = np.random.default_rng(seed)
    atoms = atoms.copy()
    atoms.positions += rng.normal(scale=stdev, size=atoms.positions.shape)
    if pbc is not None:
        atoms.pbc = pbc
    return atoms


def copied(atoms, rng):
    """Rotated, moved, wrapped, and with its atoms in another order."""
    rotation = Rotation.random(rng=rng).as_matrix()
    copy = atoms.copy()
    copy.set_cell(atoms.cell.array @ rotation.T)
    copy.positions = atoms.positions @ rotation.T + rng.uniform(-4, 4, 3)
    if copy.pbc.all():
        copy.wrap()
    return copy[rng.permutation(len(copy))]


def strained(atoms, strain):
    copy = atoms.copy()
    deformation = np.eye(3) + np.array(strain)
    copy.set_cell(atoms.cell.array @ deformation)
    copy.positions = atoms.positions @ deformation
    return copy


SYSTEMS = {
    'fcc': bulk('Cu', cubic=True),
    'hot fcc': rattled(bulk('Cu', cubic=True).repeat(3), 0.1),
    'rock salt': rattled(bulk('NaCl', 'rocksalt', a=5.64, cubic=True), 0.05),
    'molecule': rattled(molecule('CH3CH2OH'), 0.03, pbc=False),
    'slab': rattled(fcc111('Cu', (2, 2, 3), vacuum=8.0), 0.05, pbc=(True, True, False)),
    'wire': rattled(Atoms('Cu2', [[0, 0, 0], [1.9, 0, 0]], cell=[4, 0, 0], pbc=(True, False, False)), 0.05),
}
STRAINS = {
    'hydrostatic': 0.02 * np.eye(3),
    'uniaxial': np.diag([0.02, 0, 0]),
    'tetragonal': np.diag([0.02, 0, -0.0196]),
    'shear': [[0, 0.02, 0], [0, 0, 0], [0, 0, 0]],
}


def distance(first, second):
    vectors = describe([Structure(first), Structure(second)])
    return np.linalg.norm(vectors[0] - vectors[1])


@pytest.mark.parametrize('name', SYSTEMS)
def test_a_rotated_moved_permuted_copy_is_found(name):
    index = NearDuplicates()
    assert index.add('first', Structure(SYSTEMS[name])) is None
    rng = np.random.default_rng(3)
    for _ in range(3):
        key, found = index.add('copy', Structure(copied(SYSTEMS[name], rng)))
        assert key == 'first'
        assert found < 1e-10


@pytest.mark.parametrize('name', ['fcc', 'rock salt', 'slab', 'wire'])
def test_another_cell_and_a_supercell_are_found(name):
    atoms = SYSTEMS[name]
    supercell = atoms.repeat([2 if periodic else 1 for periodic in atoms.pbc])
    assert NearDuplicates().add('first', Structure(atoms)) is None
    assert distance(atoms, supercell) < 1e-10
    if atoms.pbc[1]:
        skewed = atoms.copy()
        skewed.set_cell(np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]]) @ atoms.cell.array)
        assert distance(atoms, skewed) < 1e-10
    index = NearDuplicates()
    assert index.add('small', Structure(atoms)) is None
    assert index.add('large', Structure(supercell))[0] == 'small'


# A straight wire has no shear.
STRAINED = [(name, key) for name in SYSTEMS for key in STRAINS if name != 'wire' or key in ('hydrostatic', 'uniaxial')]


@pytest.mark.parametrize(('name', 'strain'), STRAINED)
def test_a_strained_copy_is_another_configuration(name, strain):
    index = NearDuplicates()
    index.add('first', Structure(SYSTEMS[name]))
    assert index.find(Structure(strained(SYSTEMS[name], STRAINS[strain]))) is None


def test_noise_is_no_change_but_a_rattle_is():
    for name, atoms in SYSTEMS.items():
        rounded = atoms.copy()
        rounded.positions = atoms.positions.round(4)
        rounded.set_cell(atoms.cell.array.round(4))
        assert distance(atoms, rounded) < DEFAULT_TOLERANCE / 2, name
        assert distance(atoms, rattled(atoms, 0.01, seed=1)) > 2 * DEFAULT_TOLERANCE, name


def test_what_is_never_a_near_duplicate():
    index = NearDuplicates(tolerance=100.0)
    frames = {
        'copper': bulk('Cu', cubic=True),
        'gold': bulk('Au', cubic=True),
        'cluster': Atoms(bulk('Cu', cubic=True), pbc=False),
        'slab': Atoms(bulk('Cu', cubic=True), pbc=(True, True, False)),
        'CuAu': bulk('CuAu', 'rocksalt', a=5.0),
        'Cu3Au': Atoms('Cu3Au', bulk('Cu', cubic=True).positions, cell=bulk('Cu', cubic=True).cell, pbc=True),
        'dimer': Atoms('H2', [[0, 0, 0], [0, 0, 0.7]]),
        'tetramer': Atoms('H4', [[0, 0, 0], [0, 0, 0.7], [0, 0, 9.0], [0, 0, 9.7]]),
    }
    assert index.add_many(list(frames), [Structure(atoms) for atoms in frames.values()]) == [None] * len(frames)


def test_atoms_out_of_reach_of_each_other():
    def lattice(a):
        return Atoms('Cu', cell=[a, a, a], pbc=True)

    assert distance(lattice(20.0), lattice(20.0).repeat(2)) < 1e-10
    assert distance(lattice(20.0), lattice(20.4)) > DEFAULT_TOLERANCE
    assert distance(Atoms('Cu'), Atoms('Cu', [[5, 5, 5]], cell=[9, 9, 9])) < 1e-10
    pairs = [Atoms('Cu2', [[0, 0, 0], [0, 0, gap]]) for gap in (7.0, 7.14)]
    assert distance(*pairs) > DEFAULT_TOLERANCE


def test_what_cannot_be_described():
    index = NearDuplicates()
    broken = bulk('Cu')
    broken.positions[0, 0] = np.nan
    with pytest.raises(ValueError, match='not finite'):
        index.add('broken', Structure(broken))
    with pytest.raises(ValueError, match='without atoms'):
        index.find(Structure(Atoms()))
    with pytest.raises(ValueError, match='positive number, not 0'):
        NearDuplicates(0.0)
    with pytest.raises(ValueError, match='positive number, not nan'):
        list(near_pairs([], float('nan')))


@pytest.fixture(scope='module')
def mixed_frames():
    """Frames of two compositions: each third nearly repeats an earlier one."""
    rng = np.random.default_rng(1)
    frames = []
    for number in range(120):
        source = SYSTEMS['fcc'] if number % 2 else SYSTEMS['rock salt']
        if number % 3 == 2:
            frames.append(Structure(rattled(copied(frames[number - 2].atoms, rng), 1e-5, seed=number)))
        else:
            frames.append(Structure(rattled(source, 0.05, seed=number)))
    return frames


def test_one_by_one_many_at_once_and_all_pairs_agree(mixed_frames, monkeypatch):
    keys = [f'frame {number}' for number in range(len(mixed_frames))]
    single, many = NearDuplicates(), NearDuplicates()
    one_by_one = [single.add(key, frame) for key, frame in zip(keys, mixed_frames, strict=True)]
    monkeypatch.setattr(near_duplicates, 'BATCH', 50)
    monkeypatch.setattr(near_duplicates, 'VALUES_PER_CALL', 10_000)
    at_once = many.add_many(keys, mixed_frames)
    pairs = {second: (keys[first], found) for first, second, found in near_pairs(iter(mixed_frames))}
    expected = [number if number % 3 == 2 else None for number in range(len(mixed_frames))]
    assert [None if match is None else number for number, match in enumerate(one_by_one)] == expected
    assert sorted(pairs) == [number for number in expected if number is not None]
    for number, match in enumerate(one_by_one):
        if match is None:
            assert at_once[number] is None
        else:
            assert match[0] == at_once[number][0] == pairs[number][0] == keys[number - 2]
            assert match[1] == pytest.approx(at_once[number][1]) == pytest.approx(pairs[number][1])
    assert many.find_many(mixed_frames)[:2] == [('frame 0', 0.0), ('frame 1', 0.0)]


def test_only_members_count():
    # Each step is within the tolerance of the one before, the third is not within that of the first.
    steps = [Structure(strained(SYSTEMS['fcc'], e * np.eye(3))) for e in (0.0, 0.6e-4, 1.2e-4)]
    first, second, third = describe(steps)
    tolerance = 1.2 * float(np.linalg.norm(first - second))
    assert np.linalg.norm(first - third) > tolerance
    index = NearDuplicates(tolerance)
    matches = index.add_many(['0', '1', '2'], steps)
    assert [match is None for match in matches] == [True, False, True]
    assert [pair[:2] for pair in near_pairs(steps, tolerance)] == [(0, 1), (1, 2)]


def test_pairs_of_frames_that_are_all_alike_are_streamed(monkeypatch):
    n = 1000
    points = np.zeros((n, near_duplicates.N_FEATURES))
    points[:, 0] = np.arange(n) * 1e-8
    monkeypatch.setattr(near_duplicates, 'describe', lambda rows: points[rows])
    monkeypatch.setattr(near_duplicates, 'kind', lambda row: (3, 29, 1))
    tracemalloc.start()
    count = sum(first < second for first, second, _ in near_pairs(range(n)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == n * (n - 1) // 2
    assert peak < 5e6


def test_the_index_is_fast(monkeypatch):
    # Points of the spread and dimension that thermal frames have; a thousand of them come twice.
    rng = np.random.default_rng(0)
    points = np.zeros((20_000, near_duplicates.N_FEATURES))
    points[:, :8] = rng.normal(scale=0.02, size=(20_000, 8))
    points[10_000:11_000] = points[:1000] + 1e-7
    monkeypatch.setattr(near_duplicates, 'describe', lambda rows: points[rows])
    monkeypatch.setattr(near_duplicates, 'kind', lambda row: (3, 29, 1))
    rows = list(range(20_000))
    matches = NearDuplicates().add_many([str(row) for row in rows], rows)
    assert [matches[row][0] for row in range(10_000, 11_000)] == [str(row) for row in range(1000)]
    assert sum(match is not None for match in matches) < 1100


def test_atoms_out_of_reach_of_an_element():
    slab = fcc111('Cu', (2, 2, 6), a=3.6, vacuum=8.0, periodic=True)
    add_adsorbate(slab, 'O', 1.2, 'fcc')
    moved = slab.copy()
    moved.rattle(0.05, seed=1)
    turned = slab[np.random.default_rng(1).permutation(len(slab))]
    turned.rotate(30, 'z', rotate_cell=True)
    pairs = list(near_pairs([Structure(atoms) for atoms in (slab, moved, turned)]))
    assert [pair[:2] for pair in pairs] == [(0, 2)]


def test_magnetic_orders_and_charges_of_one_geometry_are_no_duplicates():
    def iron(moments=(0.0, 0.0), **info):
        atoms = bulk('Fe', cubic=True)
        atoms.set_initial_magnetic_moments(moments)
        return Structure(atoms, provenance={'info': info})

    frames = [iron(), iron((2.2, 2.2)), iron((2.2, -2.2)), iron(charge=1)]
    assert NearDuplicates().add_many([str(i) for i in range(4)], frames) == [None] * 4
    assert not list(near_pairs(frames))
    assert list(near_pairs([iron((2.2, -2.2)), iron((2.2, -2.2))])) == [(0, 1, 0.0)]
