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


def systems_of(pool):
    return Counter(pool.frames[index].provenance['system'] for index in pool.chosen)


def test_quotas_of_systems_that_are_named():
    frames = [frame(name, float(k)) for name in ('bulk', 'slab', 'gas', 'melt') for k in range(40)]
    pool = pool_of(frames)
    stratified(pool, StratifiedConfig(n=20, quotas={'slab': 0.5, 'gas': 0.1}))
    # The two others share what is left.
    assert systems_of(pool) == {'slab': 10, 'gas': 2, 'bulk': 4, 'melt': 4}
    best = {name: [index for index in pool.chosen if frames[index].provenance['system'] == name] for name in ('slab',)}
    assert best == {'slab': list(range(79, 69, -1))}


def test_a_quota_holds_over_the_windows_of_a_system():
    frames = [frame('slab', float(k), t) for t in (200.0, 600.0) for k in range(20)]
    frames += [frame('bulk', float(k), 200.0) for k in range(20)]
    pool = pool_of(frames)
    stratified(pool, StratifiedConfig(n=10, quotas={'slab': 0.8}, temperature_windows=(400.0,)))
    assert Counter((index // 20) for index in pool.chosen) == {0: 4, 1: 4, 2: 2}


def test_what_a_quota_cannot_fill_goes_to_the_others():
    pool = pool_of([frame('slab', float(k)) for k in range(3)] + [frame('bulk', float(k)) for k in range(30)])
    result = stratified(pool, StratifiedConfig(n=10, quotas={'slab': 0.5, 'absent': 0.4}))
    assert systems_of(pool) == {'slab': 3, 'bulk': 7}
    assert (result.picked, result.reasons) == (10, {})
    # Nobody else is there: the system with the quota takes the rest.
    pool = pool_of([frame('slab', float(k)) for k in range(30)])
    stratified(pool, StratifiedConfig(n=10, quotas={'slab': 0.3}))
    assert systems_of(pool) == {'slab': 10}


def test_quotas_that_add_up_to_one_give_the_share():
    names = [f's{number}' for number in range(7)]
    pool = pool_of([frame(name, float(k)) for name in names for k in range(20)])
    stratified(pool, StratifiedConfig(n=23, quotas=dict.fromkeys(names, 1 / 7)))
    assert len(pool.chosen) == len(set(pool.chosen)) == 23
    assert {*systems_of(pool).values()} == {3, 4}


@pytest.mark.parametrize(
    ('quotas', 'message'),
    [
        ({'a': 0.7, 'b': 0.4}, 'quotas must add up to 1 at most, not 1.1'),
        ({'a': 0.0}, r'greater than 0'),
        ({'a': 2.0}, 'less'),
    ],
)
def test_quotas_are_parts(quotas, message):
    with pytest.raises(ValueError, match=message):
        StratifiedConfig(n=1, quotas=quotas)


@pytest.mark.parametrize('windows', [(300.0, 300.0), (500.0, 300.0), (-1.0,)])
def test_windows_rise(windows):
    with pytest.raises(ValueError, match=r'must rise|greater than or equal to 0'):
        StratifiedConfig(n=1, temperature_windows=windows)
