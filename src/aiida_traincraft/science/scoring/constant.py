"""Errors held against those of a model that always says the mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOISE = 1e-6
"""Differences that rounding makes, in the units of the labels: forces of a primitive cell are zero for every model."""


def is_worse(statistics: Mapping[str, Any]) -> bool:
    """Whether the mean of the labels errs less; labels that are all alike, such as a single one, say nothing."""
    return bool(statistics['n'] and statistics['std'] and statistics['rmse'] > statistics['std'] + NOISE)


def worse_than_constant(errors: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Find where a constant errs less than a potential.

    Parameters
    ----------
    errors
        As of :func:`~aiida_traincraft.science.scoring.evaluation.evaluate`.

    Returns
    -------
    list of dict
        ``property``, ``system`` (None: all together; not told again for single systems then), ``rmse`` of the
        potential, ``constant`` (RMSE of the mean of the labels) and their ``unit``.
    """
    found: list[dict[str, Any]] = []
    for system, part in [(None, errors['overall']), *errors.get('per_system', {}).items()]:
        for name, row in part.items():
            told = any(item['property'] == name and item['system'] is None for item in found)
            if is_worse(row) and not told:
                facts = {'rmse': row['rmse'], 'constant': row['std'], 'unit': errors['units'][name]}
                found.append({'property': name, 'system': system} | facts)
    return found
