from collections import Counter

import numpy as np
import pytest
from ase import Atoms

from aiida_traincraft.science.selection import FunnelContext, Pool
from aiida_traincraft.science.selection.stratified import StratifiedConfig, stratified
from aiida_traincraft.science.structure import Structure


def frame(system, uncertainty=None, temperature=None):
    properties = {} if uncertainty is None else {'uncertainty': np.array([uncertainty])}
    return Structure(Atoms('Cu'), properties, {'system': system, 'temperature': temperature})


def pool_of(frames, seed=0):
    return Pool(frames, FunnelContext(100), np.random.default_rng(seed))


def test_quotas_are_equal_however_crowded_a_system_is():
    pool = pool_of([frame('bulk', k) for k in range(50)] + [frame('slab', 0.1 * k) for k in range(10)] + [frame('gas')])
    result = stratified(pool, StratifiedConfig(n=9))
    assert Counter(pool.frames[index].provenance['system'] for index in pool.chosen) == {'bulk': 4, 'slab': 4, 'gas': 1}
    # The best of each, the system of the most uncertain frame first; what "gas" cannot fill goes to the others.
    assert pool.chosen == [49, 59, 60, 48, 58, 47, 57, 46, 56]
    assert (result.picked, result.reasons) == (9, {})


def test_windows_of_temperature_part_a_system():
    temperatures = [100.0, 299.9, 300.0, 500.0, 800.0, 2000.0, None]
    pool = pool_of([frame('bulk', 1.0 + number, t) for number, t in enumerate(temperatures)])
    stratified(pool, StratifiedConfig(n=4, temperature_windows=(300.0, 800.0)))
    assert sorted(pool.chosen) == [1, 3, 5, 6]


def test_few_places_go_to_the_most_uncertain_strata():
    pool = pool_of([frame('a', 1.0), frame('b', 3.0), frame('c', np.inf), frame('d')])
    stratified(pool, StratifiedConfig(n=2))
    assert pool.chosen == [2, 1]


def test_at_random_by_the_seed():
    frames = [frame('a', float(k)) for k in range(50)] + [frame('b', float(k)) for k in range(50)]
    chosen = []
    for seed in (1, 1, 2):
        pool = pool_of(frames, seed)
        stratified(pool, StratifiedConfig(n=10, by='random'))
        assert Counter(index // 50 for index in pool.chosen) == {0: 5, 1: 5}
        chosen.append(pool.chosen)
    assert chosen[0] == chosen[1] != chosen[2]


def test_a_small_pool_leaves_the_share_unfilled():
    result = stratified(pool_of([frame('a')]), StratifiedConfig(n=3))
    assert result.reasons == {'share not filled: no frame left': 2}
    assert stratified(pool_of([]), StratifiedConfig(n=3)).picked == 0


@pytest.mark.parametrize('windows', [(300.0, 300.0), (500.0, 300.0), (-1.0,)])
def test_windows_rise(windows):
    with pytest.raises(ValueError, match=r'must rise|greater than or equal to 0'):
        StratifiedConfig(n=1, temperature_windows=windows)
