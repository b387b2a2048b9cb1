import numpy as np
import pytest
from ase import Atoms

from aiida_traincraft.science.selection import FunnelContext, Pool
from aiida_traincraft.science.selection.cost_aware import CostAwareConfig, cost_aware, predict_costs
from aiida_traincraft.science.structure import Structure

CUBIC = [(f'Cu{n}', 3600.0 * (n / 10) ** 3) for n in (4, 8, 10, 16)]


def frames_of(sizes, uncertainties=None):
    frames = [Structure(Atoms(f'Cu{size}')) for size in sizes]
    for frame, value in zip(frames, uncertainties or [], strict=False):
        frame.properties['uncertainty'] = np.array([value])
    return frames


def pool_of(sizes, uncertainties=None, costs=()):
    return Pool(frames_of(sizes, uncertainties), FunnelContext(100, costs=costs), np.random.default_rng(0))


def test_the_history_gives_a_power_law():
    predicted = predict_costs(frames_of([5, 20]), CUBIC, 1.0)
    assert predicted == pytest.approx([3600 * 0.125, 3600 * 8])


def test_the_same_formula_is_known_better_and_one_size_gives_the_prefactor():
    history = [('Cu10', 100.0), ('Cu10', 300.0), ('Cu10', 200.0)]
    assert predict_costs(frames_of([10, 20]), history, 2.0) == pytest.approx([200.0, 800.0])
    assert predict_costs(frames_of([2]), [*CUBIC, ('Cu2', 7.0)], 1.0) == pytest.approx([7.0])


def test_noise_of_like_sizes_makes_no_absurd_exponent():
    up, down = [('Cu30', 1.0), ('Cu31', 9.0)], [('Cu30', 9.0), ('Cu31', 1.0)]
    for history, exponent in ((up, 4.0), (down, 0.0)):
        first, second = predict_costs(frames_of([40, 80]), history, 3.0)
        assert second / first == pytest.approx(2**exponent)


def test_without_history_costs_are_relative():
    assert predict_costs(frames_of([2, 4]), [], 3.0) == pytest.approx([8.0, 64.0])


def test_the_budget_in_core_hours_holds():
    # One core-hour each for ten atoms, eight for twenty.
    pool = pool_of([10, 20, 10, 10], [1.0, 16.0, 1.5, 0.5], CUBIC)
    result = cost_aware(pool, CostAwareConfig(fraction=1.0, core_hours=9.5))
    assert pool.chosen == [1, 2]
    assert result.reasons == {'share not filled: 9.5 core-hours spent': 98}
    # What does not fit is passed over for what does.
    pool = pool_of([10, 20, 10, 10], [1.0, 16.0, 1.5, 0.5], CUBIC)
    cost_aware(pool, CostAwareConfig(fraction=1.0, core_hours=3.0))
    assert pool.chosen == [2, 0, 3]


def test_the_share_holds_too():
    pool = pool_of([10] * 5, [1.0, 5.0, 3.0, 4.0, 2.0], CUBIC)
    assert cost_aware(pool, CostAwareConfig(n=2, core_hours=100.0)).reasons == {}
    assert pool.chosen == [1, 3]


def test_without_history_the_share_is_worth_so_many_median_frames():
    pool = pool_of([10, 10, 10, 20, 20], [1.0, 1.0, 1.0, 9.0, 1.0])
    result = cost_aware(pool, CostAwareConfig(n=3, core_hours=1.0))
    # The limit is three frames of ten atoms; one of twenty costs eight.
    assert pool.chosen == [0, 1, 2]
    assert result.reasons == {}


def test_unknown_uncertainties():
    pool = pool_of([30, 10, 20], costs=CUBIC)
    cost_aware(pool, CostAwareConfig(n=2, core_hours=100.0))
    assert pool.chosen == [1, 2]
    pool = pool_of([10, 10, 10], [np.nan, np.inf, 2.0], CUBIC)
    cost_aware(pool, CostAwareConfig(n=3, core_hours=100.0))
    assert pool.chosen == [1, 2, 0]
    assert cost_aware(pool_of([]), CostAwareConfig(n=3)).picked == 0


def test_costs_are_positive():
    with pytest.raises(ValueError, match='must be positive, not 0 core-seconds'):
        predict_costs(frames_of([2]), [('Cu2', 0.0)], 3.0)
    with pytest.raises(ValueError, match='greater than 0'):
        CostAwareConfig(n=1, core_hours=0.0)
