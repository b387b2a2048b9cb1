"""Distribution of a quantity, and the values that fall out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aiida_traincraft.science.atoms.arrays import Array

OUTLIER_SCORE = 6.0
"""Distance from the median, in standard deviations as the median absolute deviation estimates them."""
MIN_GROUP = 8
"""Fewest values of which one can be an outlier."""
N_BINS = 40
# A copy has distance 0, which a logarithmic axis does not.
SHORTEST = 1e-8


@dataclass(frozen=True)
class Distribution:
    """Values of one quantity over the frames (forces: over the atoms)."""

    quantity: str
    unit: str
    n: int
    minimum: float
    quartile_1: float
    median: float
    quartile_3: float
    maximum: float
    mean: float
    std: float
    edges: list[float]
    """Of the bins of the histogram, one more than counts."""
    counts: list[int]


@dataclass(frozen=True)
class Outlier:
    """A label whose value is far from those of its like."""

    label: str
    """UUID."""
    quantity: str
    group: str
    """Element (forces) or composition (energies) that it is compared within."""
    value: float
    median: float
    """The norm: median of the group."""
    unit: str
    score: float
    """Robust z-score."""


def distribution(quantity: str, unit: str, values: Sequence[float] | Array, logarithmic: bool = False) -> Distribution:
    """Summary and histogram of at least one value; the bins may grow with the value."""
    array = np.asarray(values, dtype=np.float64)
    if logarithmic:
        array = np.maximum(array, SHORTEST)
    bins = np.geomspace(array.min(), array.max(), N_BINS + 1) if logarithmic and np.ptp(array) else N_BINS
    counts, edges = np.histogram(array, bins=bins)
    low, quartile_1, median, quartile_3, high = np.percentile(array, [0, 25, 50, 75, 100]).tolist()
    mean, std = float(array.mean()), float(array.std())
    rest = (edges.tolist(), counts.tolist())
    return Distribution(quantity, unit, len(array), low, quartile_1, median, quartile_3, high, mean, std, *rest)


def find_outliers(labels: Sequence[str], values: Array, like: Array, names: tuple[str, str, str]) -> list[Outlier]:
    """Labels whose value is far from the median of its like, in units of the median absolute deviation.

    Parameters
    ----------
    labels
        UUIDs.
    values
        (n_labels,) one for each label.
    like
        Values to compare with: those of the labels, or more.
    names
        Quantity, group and unit.
    """
    median = float(np.median(like))
    # The factor makes it the standard deviation of a normal distribution.
    scale = 1.4826 * float(np.median(np.abs(like - median)))
    if len(like) < MIN_GROUP or scale < 1e-9 * max(1.0, abs(median)):
        return []
    scores = np.abs(values - median) / scale
    quantity, group, unit = names
    return [
        Outlier(labels[row], quantity, group, float(values[row]), median, unit, float(scores[row]))
        for row in np.flatnonzero(scores > OUTLIER_SCORE).tolist()
    ]
