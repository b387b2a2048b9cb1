import numpy as np
from ase import Atoms

from aiida_traincraft.science.selection import FunnelContext, Pool
from aiida_traincraft.science.selection.oldest_first import OldestFirstConfig, oldest_first
from aiida_traincraft.science.structure import Structure


def pool_of(*facts):
    return Pool([Structure(Atoms('Cu'), {}, fact) for fact in facts], FunnelContext(10), np.random.default_rng(0))


def test_cycle_then_step_then_the_order_of_the_pool():
    pool = pool_of(
        {'step': 1}, {'cycle': 1, 'step': 0}, {'cycle': 0, 'step': 50}, {'cycle': 0, 'step': 5}, {}, {'cycle': 0}
    )
    result = oldest_first(pool, OldestFirstConfig(n=5))
    assert pool.chosen == [3, 2, 5, 1, 0]
    assert pool.alive == [4]
    assert (result.entered, result.picked, result.reasons) == (6, 5, {})


def test_without_a_history_it_is_the_order_of_the_pool():
    pool = pool_of({}, {}, {})
    assert oldest_first(pool, OldestFirstConfig(n=2)).picked == 2
    assert pool.chosen == [0, 1]
    assert oldest_first(pool_of(), OldestFirstConfig(fraction=1.0)).picked == 0
