import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from pydantic import ValidationError

from aiida_traincraft.science import registry
from aiida_traincraft.science.selection import FunnelContext, Pool
from aiida_traincraft.science.selection.budget import BudgetConfig, budget
from aiida_traincraft.science.selection.dedup import DedupConfig, dedup
from aiida_traincraft.science.selection.physicality import PhysicalityConfig, physicality
from aiida_traincraft.science.selection.random import RandomConfig, random
from aiida_traincraft.science.selection.uncertainty import UncertaintyConfig, uncertainty
from aiida_traincraft.science.structure import Structure


def pool_of(frames, **context):
    return Pool(frames, FunnelContext(**{'budget': 10} | context), np.random.default_rng(0))


def uncertain(*values):
    frames = [Structure(Atoms('Cu2', [[0, 0, 0], [0, 0, 2 + 0.1 * k]])) for k in range(len(values))]
    for frame, value in zip(frames, values, strict=True):
        if value is not None:
            frame.properties['uncertainty'] = np.array([0.0, value])
    return frames


def test_all_selectors_are_registered():
    expected = {
        'physicality', 'dedup', 'near_dedup', 'uncertainty', 'd_optimal', 'diversity', 'random', 'budget', 'committee',
        'cost_aware', 'energy_window', 'force_cap', 'oldest_first', 'stratified',
    }  # fmt: skip
    assert expected <= set(registry.names('selector'))


def test_physicality_names_each_flaw():
    good = bulk('Cu', cubic=True)
    overlapping = bulk('Cu', cubic=True)
    overlapping.positions[1] = overlapping.positions[0] + [0.5, 0, 0]
    across = bulk('Cu', cubic=True)
    across.positions[1] = across.positions[0] + across.cell[0] - [0.4, 0, 0]
    broken = bulk('Cu')
    broken.positions[0, 0] = np.nan
    burst = bulk('Cu')
    burst.cell[0, 0] = np.inf
    flat = Atoms('Cu', cell=[3, 3, 0], pbc=True)
    parallel = Atoms('Cu', cell=[[3, 0, 0], [6, 0, 0], [0, 0, 3]], pbc=True)
    slab = Atoms('Cu', cell=[3, 3, 0], pbc=(True, True, False))
    frames = [good, overlapping, across, broken, burst, Atoms(), flat, parallel, slab, molecule('H2O'), Atoms('Cu')]
    pool = pool_of([Structure(atoms) for atoms in frames])
    result = physicality(pool, PhysicalityConfig())
    assert pool.alive == [0, 8, 9, 10]
    assert (result.entered, result.dropped) == (11, 7)
    assert result.reasons == {
        'atoms closer than 0.6 of the sum of their covalent radii': 2,
        'positions or cell not finite': 2,
        'no atoms': 1,
        'periodic without a cell': 2,
    }


def test_physicality_limit_is_a_fraction_of_covalent_radii():
    # Covalent radius of Cu: 1.32 Å.
    pool = pool_of([Structure(Atoms('Cu2', [[0, 0, 0], [0, 0, 2.64 * ratio]])) for ratio in (0.69, 0.71)])
    physicality(pool, PhysicalityConfig(min_distance=0.7))
    assert pool.alive == [1]


def test_dedup_against_the_pool_the_chosen_and_what_is_known():
    frames = uncertain(1, 1, 1, 1)
    frames += [frames[0].copy(), frames[2].copy()]
    frames[5].atoms.positions += 1e-7
    pool = pool_of(frames, known_hashes=frozenset({frames[1].content_hash()}))
    pool.pick([0], 1)
    result = dedup(pool, DedupConfig())
    assert pool.alive == [2, 3]
    assert result.reasons == {'labelled or tried before': 1, 'repeated in the pool': 2}


def test_uncertainty_window_is_open_below_and_closed_above():
    pool = pool_of(uncertain(0.5, 2.0, 2.1, 10.0, 50.0, 50.1, np.inf, None, np.nan), lo=2.0, hi=10.0)
    result = uncertainty(pool, UncertaintyConfig())
    assert pool.alive == [2, 3, 4]
    assert result.reasons == {'uncertainty not above 2': 2, 'uncertainty above 50': 2, 'uncertainty unknown': 2}


def test_uncertainty_limits_of_the_stage_win_and_no_upper_limit_is_needed():
    pool = pool_of(uncertain(0.5, 2.0, 30.0), lo=2.0, hi=10.0)
    uncertainty(pool, UncertaintyConfig(lo=1, hi=5))
    assert pool.alive == [1]
    pool = pool_of(uncertain(0.5, 2.0, 1e9), lo=1.0)
    uncertainty(pool, UncertaintyConfig())
    assert pool.alive == [1, 2]


def test_uncertainty_passes_a_pool_that_carries_none():
    pool = pool_of(uncertain(None, None))
    result = uncertainty(pool, UncertaintyConfig())
    assert pool.alive == [0, 1]
    assert result.reasons == {'no frame carries an uncertainty, all pass': 2}


def test_uncertainty_without_limit_or_with_an_empty_window_is_an_error():
    with pytest.raises(ValueError, match='threshold of the exploration'):
        uncertainty(pool_of(uncertain(3.0)), UncertaintyConfig())
    with pytest.raises(ValueError, match='60 is not below upper limit 50'):
        uncertainty(pool_of(uncertain(3.0), hi=10.0), UncertaintyConfig(lo=60))
    with pytest.raises(ValidationError, match='must be below'):
        UncertaintyConfig(lo=3, hi=2)


def test_random_picks_without_repetition_and_uniformly():
    counts = np.zeros(10)
    for seed in range(300):
        pool = Pool(uncertain(*[None] * 10), FunnelContext(budget=4), np.random.default_rng(seed))
        random(pool, RandomConfig(n=3))
        assert len(set(pool.chosen)) == 3
        assert sorted(pool.chosen + pool.alive) == list(range(10))
        counts[pool.chosen] += 1
    # 90 expected of each; the standard deviation is 8.
    assert np.all(np.abs(counts - 90) < 35)


def test_budget_caps_the_picks_in_their_order():
    pool = pool_of(uncertain(*[1.0] * 8), budget=5)
    pool.pick([7, 1, 5, 2], 4)
    result = budget(pool, BudgetConfig(n=3))
    assert pool.chosen == [7, 1, 5]
    assert (result.entered, result.dropped, result.reasons) == (4, 1, {'over the budget of 3': 1})
    assert budget(pool, BudgetConfig(n=50)).dropped == 0


def test_budget_without_picks_keeps_the_most_uncertain_then_the_first():
    pool = pool_of(uncertain(1.0, None, 3.0, None, np.inf, 2.0), budget=4)
    result = budget(pool, BudgetConfig())
    assert pool.alive == [0, 2, 4, 5]
    assert result.dropped == 2
    pool = pool_of(uncertain(None, None, None), budget=2)
    budget(pool, BudgetConfig())
    assert pool.alive == [0, 1]
