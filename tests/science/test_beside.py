from __future__ import annotations

import itertools
import os

import pytest

from aiida_traincraft.science.beside import AT_ONCE, iterate_beside


def test_items_come_in_order():
    assert list(iterate_beside(range, 3 * AT_ONCE + 1)) == list(range(3 * AT_ONCE + 1))


def test_errors_and_deaths_are_told():
    with pytest.raises(ValueError, match='invalid literal'):
        list(iterate_beside(map, int, ['1', 'x']))
    with pytest.raises(RuntimeError, match='the process that reads died with exit status 3'):
        list(iterate_beside(map, os._exit, [3]))


def test_who_stops_early_ends_the_other_process():
    items = iterate_beside(itertools.count)
    assert next(items) == 0
    items.close()
