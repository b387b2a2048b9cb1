from __future__ import annotations

import itertools
import os

import pytest

from aiida_traincraft.science.datasets.read_ahead import AT_ONCE, read_ahead


def test_items_come_in_order():
    assert list(read_ahead(range, 3 * AT_ONCE + 1)) == list(range(3 * AT_ONCE + 1))


def test_errors_and_deaths_are_told():
    with pytest.raises(ValueError, match='invalid literal'):
        list(read_ahead(map, int, ['1', 'x']))
    with pytest.raises(RuntimeError, match='the process that reads died with exit status 3'):
        list(read_ahead(map, os._exit, [3]))


def test_who_stops_early_ends_the_other_process():
    items = read_ahead(itertools.count)
    assert next(items) == 0
    items.close()
