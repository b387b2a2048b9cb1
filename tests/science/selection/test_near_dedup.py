import numpy as np
import pytest
from ase.build import bulk

from aiida_traincraft.science.config.selection import SelectionConfig
from aiida_traincraft.science.selection import FunnelContext, Pool, run_funnel
from aiida_traincraft.science.selection.near_dedup import NearDedupConfig, near_dedup
from aiida_traincraft.science.structure import Structure


def frames_with_copies():
    """Three frames, then copies of the second (in a supercell) and the third (atoms in another order)."""
    frames = []
    for seed in range(3):
        atoms = bulk('Cu', cubic=True)
        atoms.positions += np.random.default_rng(seed).normal(scale=0.1, size=atoms.positions.shape)
        frames.append(atoms)
    return [Structure(atoms) for atoms in (*frames, frames[1].repeat((1, 2, 1)), frames[2][::-1])]


def test_keeps_the_first_of_near_duplicates():
    frames = frames_with_copies()
    result = near_dedup(pool := Pool(frames, FunnelContext(10), np.random.default_rng(0)), NearDedupConfig())
    assert pool.alive == [0, 1, 2]
    assert (result.entered, result.dropped) == (5, 2)
    assert result.reasons == {'near duplicate in the pool': 2}


def test_what_was_chosen_before_counts():
    pool = Pool(frames_with_copies(), FunnelContext(10), np.random.default_rng(0))
    pool.pick([3, 4], 2)
    near_dedup(pool, NearDedupConfig())
    assert pool.alive == [0]


def test_in_a_funnel_with_a_tolerance_of_its_own():
    stages = [{'type': 'physicality'}, {'type': 'near_dedup', 'tolerance': 10.0}]
    config = SelectionConfig.model_validate({'budget': 10, 'stages': stages})
    assert [frame.content_hash() for frame in run_funnel(frames_with_copies(), config)] == [
        frames_with_copies()[0].content_hash()
    ]


@pytest.mark.parametrize('tolerance', [0.0, -1.0])
def test_the_tolerance_is_positive(tolerance):
    with pytest.raises(ValueError, match='greater than 0'):
        NearDedupConfig(tolerance=tolerance)
