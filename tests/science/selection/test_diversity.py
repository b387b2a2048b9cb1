import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_traincraft.science.selection import FunnelContext, Pool
from aiida_traincraft.science.selection.descriptor import frame_descriptor
from aiida_traincraft.science.selection.diversity import DiversityConfig, diversity
from aiida_traincraft.science.structure import Structure


def pool_of(frames, **context):
    return Pool(frames, FunnelContext(**{'budget': 100} | context), np.random.default_rng(0))


def described(vectors):
    return [Structure(bulk('Cu'), {'descriptor': np.asarray(vector, float)}) for vector in vectors]


def pick(pool, n):
    return diversity(pool, DiversityConfig(n=n))


def greedy(known, candidates, n):
    """Reference: farthest point sampling, written out."""
    known, order = list(known), []
    for _ in range(n):
        distances = [min(np.linalg.norm(vector - other) for other in known) for vector in candidates]
        order.append(int(np.argmax(distances)))
        known.append(candidates[order[-1]])
    return order


def test_is_farthest_point_sampling_from_the_training_set_in_scaled_columns():
    rng = np.random.default_rng(1)
    training = rng.normal(size=(15, 6)) * [1, 10, 0.01, 1, 3, 1]
    vectors = rng.normal(size=(40, 6)) * [2, 10, 0.05, 1, 3, 1]
    pool = pool_of(described(vectors), training_descriptors=training)
    pool.pick([4, 9], 2)
    result = pick(pool, 8)
    spread = np.vstack([training, vectors]).std(axis=0)
    expected = greedy(np.vstack([training, vectors[[4, 9]]]) / spread, vectors / spread, 8)
    assert pool.chosen == [4, 9, *expected]
    assert (result.entered, result.picked, result.reasons) == (38, 8, {})


def test_a_column_constant_in_training_still_counts_and_a_constant_one_does_not_matter():
    training = np.array([[0.0, 0, 5], [1, 0, 5], [2, 0, 5]])
    pool = pool_of(described([[1.0, 0, 5], [1.1, 1, 5], [0.1, 0, 5]]), training_descriptors=training)
    pick(pool, 1)
    assert pool.chosen == [1]


def test_never_picks_what_coincides_with_a_known_or_picked_frame():
    rng = np.random.default_rng(2)
    training = 100 + rng.normal(size=(20, 5))
    new = 100 + rng.normal(size=(3, 5))
    vectors = np.vstack([training[:4], new, new, new])
    pool = pool_of(described(vectors), training_descriptors=training)
    result = pick(pool, 9)
    assert sorted({tuple(vectors[index]) for index in pool.chosen}) == sorted(map(tuple, new))
    assert len(pool.chosen) == 3
    assert result.reasons == {'share not filled: no frame differs from those known': 6}


def test_takes_all_when_the_share_is_larger_than_the_pool():
    vectors = np.random.default_rng(3).normal(size=(5, 4))
    pool = pool_of(described(vectors), training_descriptors=np.zeros((1, 4)))
    assert pick(pool, 50).picked == 5
    assert pool.alive == []


@pytest.mark.parametrize('width', [1, 2])
def test_one_frame_and_narrow_descriptors(width):
    pool = pool_of(described([np.ones(width)]))
    assert pick(pool, 3).picked == 1
    known = pool_of(described([np.ones(width)]), training_descriptors=np.ones((2, width)))
    assert pick(known, 3).picked == 0
    far = pool_of(described([np.ones(width), 9 * np.ones(width)]), training_descriptors=np.zeros((2, width)))
    pick(far, 1)
    assert far.chosen == [1]


def test_without_frames_nothing_is_picked():
    result = pick(pool_of([]), 3)
    assert (result.entered, result.picked) == (0, 0)


def strained(scale):
    atoms = bulk('Cu', cubic=True)
    atoms.set_cell(atoms.cell * scale, scale_atoms=True)
    return Structure(atoms)


def test_without_training_descriptors_starts_nearest_the_mean_in_the_model_free_descriptor():
    frames = [strained(scale) for scale in (0.90, 0.99, 1.0, 1.0, 1.01, 1.1)]
    pool = pool_of(frames)
    pick(pool, 3)
    assert pool.chosen[0] in (1, 2, 4)
    assert set(pool.chosen[1:]) == {0, 5}


def test_without_training_descriptors_starts_from_the_chosen():
    pool = pool_of([strained(scale) for scale in (0.9, 1.0, 1.1)])
    pool.pick([2], 1)
    pick(pool, 1)
    assert pool.chosen == [2, 0]


@pytest.mark.parametrize('training', [None, np.zeros((4, 7))])
def test_descriptors_of_another_potential_are_not_mixed(training):
    frames = [strained(scale) for scale in (0.9, 1.0, 1.1)]
    for frame in frames:
        frame.properties['descriptor'] = np.zeros(3)
    pool = pool_of(frames, training_descriptors=training)
    assert pick(pool, 3).picked == 3


def test_descriptor_ignores_order_position_and_cell_multiples():
    atoms = bulk('CuAu', 'rocksalt', a=5.0, cubic=True)
    atoms.rattle(0.1, seed=1)
    reference = frame_descriptor(Structure(atoms), ['Au', 'Cu'])
    assert reference.shape == (2 + 3 * 31,)
    shifted = atoms[np.random.default_rng(0).permutation(len(atoms))]
    shifted.positions += [1.0, 2.0, 3.0]
    shifted.wrap()
    for same in (shifted, atoms.repeat((2, 1, 1))):
        np.testing.assert_allclose(frame_descriptor(Structure(same), ['Au', 'Cu']), reference, atol=1e-8)


def test_descriptor_counts_neighbours_and_composition():
    vector = frame_descriptor(Structure(bulk('Cu', a=3.6)), ['Cu', 'Zn'])
    assert list(vector[:2]) == [1.0, 0.0]
    # fcc within 6 Å: 12 + 6 + 24 + 12 + 24 + 8 neighbours up to the sixth shell at 6.24 Å, of which five lie inside.
    assert vector[2 : 2 + 31].sum() == pytest.approx(12 + 6 + 24 + 12 + 24)
    # Nearest neighbours at 2.546 Å, between the bins at 2.4 and 2.6 Å.
    assert vector[2 + 12] + vector[2 + 13] == pytest.approx(12)
    assert vector[2 + 31 :].sum() == 0


def test_descriptor_changes_smoothly():
    def vector(distance):
        return frame_descriptor(Structure(Atoms('Cu2', [[0, 0, 0], [0, 0, distance]])), ['Cu'])

    assert np.linalg.norm(vector(2.5999) - vector(2.6001)) < 0.01
    assert np.linalg.norm(vector(5.9999) - vector(6.0001)) < 1.1


def test_descriptor_of_another_element_is_an_error():
    with pytest.raises(ValueError, match='contains Zn'):
        frame_descriptor(Structure(Atoms('Zn')), ['Cu'])


@pytest.mark.parametrize('training', [None, np.zeros((4, 7))])
def test_the_descriptors_of_the_model_are_there_or_it_is_an_error(training):
    with pytest.raises(ValueError, match='"descriptor" is "model", but'):
        diversity(
            pool_of(described(np.eye(3)), training_descriptors=training), DiversityConfig(n=1, descriptor='model')
        )
    pool = pool_of(described(np.diag([1.0, 5.0, 1.0])), training_descriptors=np.zeros((2, 3)))
    assert diversity(pool, DiversityConfig(n=1, descriptor='model')).picked == 1


def test_soap_tells_elements_and_geometries_apart_whatever_the_model_says():
    frames = [strained(scale) for scale in (1.0, 1.0, 1.05)]
    gold = bulk('Au', a=frames[0].atoms.cell[0, 0], cubic=True)
    gold.set_cell(frames[0].atoms.cell, scale_atoms=True)
    turned = frames[0].atoms.copy()
    turned.rotate(40, (1, 2, 3), rotate_cell=True)
    frames += [Structure(gold), Structure(turned)]
    for frame in frames:
        frame.properties['descriptor'] = np.zeros(3)
    pool = pool_of(frames, training_descriptors=np.zeros((1, 3)))
    result = diversity(pool, DiversityConfig(n=5, descriptor='soap'))
    # Neither the copy nor the rotated copy is picked beside the original.
    assert sorted(pool.chosen) in ([0, 2, 3], [1, 2, 3], [2, 3, 4])
    assert result.reasons == {'share not filled: no frame differs from those known': 2}


def test_descriptors_that_are_not_finite_are_an_error():
    with pytest.raises(ValueError, match='not finite'):
        pick(pool_of(described([[1.0, np.nan], [0.0, 1.0]]), training_descriptors=np.ones((1, 2))), 1)


def test_blocks_do_not_change_the_picks(monkeypatch):
    rng = np.random.default_rng(5)
    training, vectors = rng.normal(size=(37, 4)), rng.normal(size=(53, 4))
    picks = []
    for block in (1000, 10):
        monkeypatch.setattr('aiida_traincraft.science.selection.diversity.BLOCK', block)
        pool = pool_of(described(vectors), training_descriptors=training)
        pick(pool, 20)
        picks.append(pool.chosen)
    assert picks[0] == picks[1]
