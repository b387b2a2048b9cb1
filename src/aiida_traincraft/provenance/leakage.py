"""What training and test set of a dataset have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aiida_traincraft.data.dataset import DatasetData, DatasetRow, iterate_rows, label_attributes
from aiida_traincraft.science.near_duplicates import near_pairs


@dataclass(frozen=True)
class Leak:
    """A training structure that tells what the test set is to ask."""

    train: str
    """UUID of its label."""
    test: str
    """UUID of the label in the test set."""
    group: str | None = None
    """The group that they share, if that is the leak."""
    distance: float | None = None
    """Relative distance (no unit), if they are near duplicates."""


def find_leaks(dataset: DatasetData, tolerance: float) -> list[Leak]:
    """Find training structures that are of one group with a test structure, or its near duplicates.

    Parameters
    ----------
    dataset
        The dataset to check.
    tolerance
        Largest relative distance (no unit) of near duplicates.

    Returns
    -------
    list of Leak
        For each training structure in a group of the test set one, with the first test structure of that group; then
        for each that has near duplicates in the test set one, with the nearest of them.
    """
    rows = sorted((row for row in dataset.rows if row.split != 'e0'), key=lambda row: row.split == 'train')
    return [*_shared_groups(rows), *_near_duplicates(rows, tolerance)]


def _shared_groups(rows: list[DatasetRow]) -> Iterator[Leak]:
    tests: dict[str, str] = {}
    # The test set comes first.
    for row, (group,) in zip(rows, label_attributes([row.label for row in rows], 'group'), strict=True):
        if group is None:
            continue
        if row.split == 'test':
            tests.setdefault(group, row.label)
        elif group in tests:
            yield Leak(row.label, tests[group], group=group)


def _near_duplicates(rows: list[DatasetRow], tolerance: float) -> Iterator[Leak]:
    nearest: dict[int, tuple[float, int]] = {}
    # The test set comes first.
    for test, train, distance in near_pairs(iterate_rows(rows), tolerance):
        if rows[test].split != rows[train].split:
            nearest[train] = min(nearest.get(train, (distance, test)), (distance, test))
    for train, (distance, test) in sorted(nearest.items()):
        yield Leak(rows[train].label, rows[test].label, distance=distance)
