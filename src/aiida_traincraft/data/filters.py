"""Filters of the QueryBuilder that come from a user."""

from __future__ import annotations

from typing import Any

LENGTHS = ('of_length', 'longer', 'shorter', '!of_length', '!longer', '!shorter')
"""Operators that take whole numbers only."""


def float_numbers(value: Any) -> Any:
    """Copy of filters with every number as a float: on SQLite, an integer bound makes AiiDA compare truncated numbers.

    Parameters
    ----------
    value
        Filters as the QueryBuilder takes them, or any part of them; lengths of lists stay whole numbers.
    """
    if isinstance(value, dict):
        return {key: item if key in LENGTHS else float_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [float_numbers(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
