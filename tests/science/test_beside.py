from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from aiida_traincraft.science.beside import AT_ONCE, iterate_beside


def numbers(count: int) -> Iterator[int]:
    yield from range(count)


def failing() -> Iterator[int]:
    yield from range(AT_ONCE)
    raise ValueError('after the first batch')


def dying() -> Iterator[int]:
    yield from range(AT_ONCE)
    os._exit(3)


def test_items_come_in_order():
    assert list(iterate_beside(numbers, 3 * AT_ONCE + 1)) == list(range(3 * AT_ONCE + 1))


def test_errors_and_deaths_are_told():
    with pytest.raises(ValueError, match='after the first batch'):
        list(iterate_beside(failing))
    with pytest.raises(RuntimeError, match='the process that reads died'):
        list(iterate_beside(dying))


def test_who_stops_early_ends_the_other_process():
    items = iterate_beside(numbers, 10**9)
    assert next(items) == 0
    items.close()
