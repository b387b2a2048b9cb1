from __future__ import annotations

import tracemalloc

import numpy as np

from aiida_traincraft.science.datasets.splitting import draw_sets, join_groups


def sets(keys, pairs=()):
    numbers = join_groups(keys, pairs)
    return {frozenset(np.flatnonzero(numbers == number).tolist()) for number in set(numbers.tolist())}


def test_frames_of_a_group_stay_together():
    assert sets(['a', None, 'b', 'a', None]) == {frozenset({0, 3}), frozenset({1}), frozenset({2}), frozenset({4})}
    assert sets([]) == set()


def test_near_duplicates_join_their_groups():
    keys = ['a', 'a', 'b', 'b', None, 'c']
    assert sets(keys, iter([(1, 2), (3, 4)])) == {frozenset({0, 1, 2, 3, 4}), frozenset({5})}


def test_many_like_frames_are_joined_without_keeping_their_pairs():
    n = 600
    pairs = ((one, other) for other in range(n - 1, -1, -1) for one in range(other))
    tracemalloc.start()
    numbers = join_groups([None] * n + ['far'], pairs)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert numbers.tolist() == [0] * n + [1]
    assert peak < 1e6


def test_drawn_sets_come_near_the_target():
    rng = np.random.default_rng(1)
    sizes = [7, 1, 12, 5, 5, 9, 1, 3, 30, 2]
    for target in (5, 10, 20, 40):
        for _ in range(20):
            drawn = draw_sets(sizes, target, rng)
            assert len(drawn) == len(set(drawn))
            # The last set may overshoot by less than was missing.
            without, number = (sum(sizes[index] for index in part) for part in (drawn[:-1], drawn))
            assert abs(number - target) < target - without


def test_something_is_drawn_and_something_is_left():
    rng = np.random.default_rng(1)
    for _ in range(10):
        assert draw_sets([10, 8, 12], 1, rng) == [1]
        assert len(draw_sets([10, 1], 10, rng)) == 1


def test_every_set_has_its_chance():
    rng = np.random.default_rng(2)
    drawn = {index for _ in range(200) for index in draw_sets([1] * 20, 2, rng)}
    assert drawn == set(range(20))
