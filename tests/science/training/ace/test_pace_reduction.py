"""The most informative structures: what is maximised, against plain linear algebra on pyace's own projections."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_traincraft.science.config.training.pace_linear import PaceLinearTraining
from aiida_traincraft.science.models.ace import PaceCalculator
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.training.ace.basis import basis_config
from aiida_traincraft.science.training.ace.reduction import (
    PRIOR,
    atoms_needed,
    check_size,
    divide,
    log_volume,
    reduce_structures,
)

pytest.importorskip('pyace')

CONFIG = PaceLinearTraining(cutoff=5.0, functions=40)


@pytest.fixture(scope='module')
def matrices(copper_frames, tmp_path_factory):
    """Scaled projections of each structure, by the calculator of a file."""
    path = tmp_path_factory.mktemp('basis') / 'basis.yaml'
    basis_config(CONFIG, ['Cu'], 40).save(str(path))
    calculator = PaceCalculator(path, {'Cu': 0.0})
    rows = [calculator.projections(frame.atoms)['Cu'] for frame in copper_frames]
    return [one / np.sqrt(np.mean(np.concatenate(rows) ** 2, axis=0)) for one in rows]


def explicit(matrices, picked):
    rows = np.concatenate([matrices[index] for index in picked])
    return np.linalg.slogdet(PRIOR * np.eye(rows.shape[1]) + rows.T @ rows)[1]


@pytest.mark.parametrize('size', [10, 14, 30])
def test_the_log_volume_is_that_of_the_explicit_matrix(copper_frames, matrices, size):
    found = reduce_structures(copper_frames, CONFIG, size)
    assert len(set(found.picked)) == size
    assert found.log_volume == pytest.approx(explicit(matrices, found.picked), rel=1e-5)
    assert found.log_volume == pytest.approx(log_volume(copper_frames, CONFIG, found.picked), rel=1e-10)


def test_each_pick_enlarges_the_determinant_most(copper_frames, matrices):
    # Without laziness, and by determinants instead of gains.
    expected = []
    for _ in range(12):
        rest = [index for index in range(30) if index not in expected]
        expected.append(max(rest, key=lambda index: explicit(matrices, [*expected, index])))
    assert reduce_structures(copper_frames, CONFIG, 12).picked == expected


@pytest.mark.parametrize('size', [11, 15, 20])
def test_greedy_holds_more_than_maxvol_and_chance(copper_frames, size):
    greedy = reduce_structures(copper_frames, CONFIG, size).log_volume
    assert greedy >= reduce_structures(copper_frames, CONFIG, size, 'maxvol').log_volume
    rng = np.random.default_rng(size)
    for _ in range(3):
        assert greedy > log_volume(copper_frames, CONFIG, rng.choice(30, size, replace=False))


@pytest.mark.parametrize('method', ['greedy', 'maxvol'])
def test_the_same_structures_are_picked_again(copper_frames, method):
    first = reduce_structures(copper_frames, CONFIG, 12, method)
    assert reduce_structures(copper_frames, CONFIG, 12, method) == first
    # A shorter list begins alike, and labels say nothing.
    bare = [Structure(frame.atoms) for frame in copper_frames]
    assert reduce_structures(bare, CONFIG, 8, method).picked == first.picked[:8]


def alloys(rng):
    """Eighteen cells of copper, one of them with two atoms of gold, and one of eight."""
    frames = []
    for index in range(18):
        atoms = bulk('Cu', cubic=True, a=3.7).repeat((2, 1, 1))
        if index in (5, 11):
            atoms.numbers[: 2 if index == 5 else 8] = 79
        atoms.positions += rng.normal(scale=0.1, size=atoms.positions.shape)
        frames.append(Structure(atoms))
    return frames


@pytest.mark.parametrize('method', ['greedy', 'maxvol'])
@pytest.mark.parametrize('size', [3, 6])
def test_a_rare_element_stays(method, size):
    frames = alloys(np.random.default_rng(1))
    picked = reduce_structures(frames, PaceLinearTraining(cutoff=4.0), size, method).picked
    # Ten atoms of each element are needed.
    assert {5, 11} <= set(picked)
    assert len(set(picked)) == size


def test_too_few_structures_are_refused():
    frames = alloys(np.random.default_rng(1))
    with pytest.raises(ValueError, match=r'2 structures cannot hold 10 atoms each of Au, Cu, .*take at least 3'):
        reduce_structures(frames, PaceLinearTraining(cutoff=4.0), 2)
    with pytest.raises(ValueError, match='19 structures cannot be picked of 18'):
        reduce_structures(frames, PaceLinearTraining(cutoff=4.0), 19)
    with pytest.raises(
        ValueError, match='have 10 atoms of Au, functions = 20 needs 20 of each element: add structures'
    ):
        reduce_structures(frames, PaceLinearTraining(cutoff=4.0, functions=20), 6)
    with pytest.raises(ValueError, match='0 structures cannot be picked'):
        check_size([{'Cu': 4}], CONFIG, 0)


def test_least_numbers():
    config = PaceLinearTraining(functions='auto')
    assert atoms_needed(config) == 10
    counts = [{'Cu': 4}, {'Cu': 8}, {'Cu': 6, 'O': 3}, {'O': 9}]
    check_size(counts, config, 3)
    with pytest.raises(ValueError, match='take at least 3'):
        check_size(counts, config, 2)


def test_a_training_set_is_divided_only_when_it_is_larger(copper_frames):
    config = PaceLinearTraining(cutoff=5.0, functions=20, active_set_size=12)
    kept, left_out = divide(copper_frames, config)
    assert (len(kept), len(left_out)) == (12, 18)
    assert [frame.provenance['index'] for frame in kept] == sorted(set(range(30)) - set(left_out))
    assert divide(copper_frames[:12], config) == (copper_frames[:12], [])
    assert divide(copper_frames, PaceLinearTraining()) == (copper_frames, [])


def test_atoms_without_neighbours_say_nothing(copper_frames):
    alone = Structure(Atoms('Cu'))
    picked = reduce_structures([alone, *copper_frames], CONFIG, 30).picked
    assert 0 not in picked


@pytest.mark.parametrize('method', ['greedy', 'maxvol'])
def test_an_element_without_neighbours_is_kept(copper_frames, method):
    frames = []
    for frame in copper_frames[:14]:
        atoms = Atoms(frame.atoms.numbers, frame.atoms.positions) + Atoms('Ar', [[40.0, 0.0, 0.0]])
        frames.append(Structure(atoms))
    assert len(set(reduce_structures(frames, PaceLinearTraining(), 11, method).picked)) == 11
