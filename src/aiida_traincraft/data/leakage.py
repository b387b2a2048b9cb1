"""What training and test set have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aiida_traincraft.data.dataset import DatasetData, DatasetRow, iterate_rows, label_attributes
from aiida_traincraft.science.datasets.near_duplicates import near_pairs
from aiida_traincraft.science.datasets.sealed import composition

Rows = Sequence[DatasetRow]


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

    def __str__(self) -> str:
        reason = 'the same structure'
        if self.group is not None:
            reason = f'both of group {self.group!r}'
        elif self.distance is not None:
            reason = f'near duplicates at {self.distance:.1e}'
        return f'train {self.train}, test {self.test}: {reason}'


def find_leaks(dataset: DatasetData, tolerance: float, test_set: DatasetData | None = None) -> list[Leak]:
    """Find training structures that are test structures, of one group with one, or its near duplicates.

    Parameters
    ----------
    dataset
        Dataset to train on (split "train").
    tolerance
        Largest relative distance (no unit) of near duplicates.
    test_set
        Dataset to test on (split "test"); by default the same one.

    Returns
    -------
    list of Leak
        What :func:`find_known` gives; then for each other training structure that has near duplicates in the test set
        one, with the nearest of them.
    """
    tests, trained = _sides(dataset, test_set)
    known = _known(tests, trained)
    told = {leak.train for leak in known}
    return [*known, *_near_duplicates(tests, [row for row in trained if row.label not in told], tolerance)]


def find_known(dataset: DatasetData, test_set: DatasetData | None = None) -> list[Leak]:
    """Find training structures that are test structures, or of one group with one, without reading a frame.

    Parameters
    ----------
    dataset
        Dataset to train on (split "train").
    test_set
        Dataset to test on (split "test"); by default the same one.

    Returns
    -------
    list of Leak
        For each such training structure one, with the first test structure that it is or shares a group with.
    """
    return _known(*_sides(dataset, test_set))


def tell(leaks: Sequence[Leak]) -> str:
    """Sentence on leaks, of which there is at least one."""
    return f'{len(leaks)} training structures tell of the test set, the first: {leaks[0]}'


def _sides(dataset: DatasetData, test_set: DatasetData | None) -> tuple[Rows, Rows]:
    """Test and training structures."""
    rows = dataset.rows
    tests = rows if test_set is None else test_set.rows
    return [row for row in tests if row.split == 'test'], [row for row in rows if row.split == 'train']


def _known(tests: Rows, trained: Rows) -> list[Leak]:
    if not tests:
        return []
    structures: dict[str, str] = {}
    groups: dict[str, str] = {}
    for row, group in zip(tests, _attribute(tests, 'group'), strict=True):
        structures.setdefault(row.structure, row.label)
        if group is not None:
            groups.setdefault(group, row.label)
    leaks = []
    for row, group in zip(trained, _attribute(trained, 'group'), strict=True):
        if row.structure in structures:
            leaks.append(Leak(row.label, structures[row.structure]))
        elif group in groups:
            leaks.append(Leak(row.label, groups[group], group=group))
    return leaks


def _near_duplicates(tests: Rows, trained: Rows, tolerance: float) -> Iterator[Leak]:
    """Leaks of what has one composition with a test structure; the others are not read."""
    wanted = {composition(formula) for formula in _attribute(tests, 'formula')}
    formulas = _attribute(trained, 'formula')
    asked = [row for row, formula in zip(trained, formulas, strict=True) if composition(formula) in wanted]
    if not asked:
        return
    nearest: dict[int, tuple[float, int]] = {}
    for test, train, distance in near_pairs(iterate_rows([*tests, *asked]), tolerance):
        if test < len(tests) <= train:
            nearest[train] = min(nearest.get(train, (distance, test)), (distance, test))
    for train, (distance, test) in sorted(nearest.items()):
        yield Leak(asked[train - len(tests)].label, tests[test].label, distance=distance)


def _attribute(rows: Rows, name: str) -> list[str]:
    return [value for (value,) in label_attributes([row.label for row in rows], name)]
