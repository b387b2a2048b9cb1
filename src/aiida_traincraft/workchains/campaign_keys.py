"""Keys of a campaign's children, which label its calls in the graph: who starts them and who asks for them agree here.

The first structures are of two sets, ``train`` and ``test``. What repeats has its number behind the kind: the cycle of
trainings and what follows them, the count of explorations for these, their labels, datasets and ledgers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, TypeVar

Set = Literal['train', 'test']
Child = TypeVar('Child')

SETS: tuple[Set, ...] = ('test', 'train')
"""The test set comes first, so that nothing of it gets into the other."""
BUILD = 'build_structures'
DISTIL = 'distil'
FIRST_LEDGER = 'merge_ledgers_first'
STAGES = {
    'build': 'build',
    'sample': 'sample',
    'select': 'select',
    'label': 'label',
    'merge': 'label',
    'dataset': 'label',
    'train': 'train',
    'explore': 'explore',
    'calibrate': 'train',
    'dielectric': 'train',
    'validate': 'validate',
    'distil': 'distil',
}
"""Stage of a campaign that a child belongs to, by the first word of its key."""


def first_samples(which: Set) -> str:
    """Sampling of the first structures."""
    return f'sample_{which}'


def first_selection(which: Set) -> str:
    """Selection of the first structures."""
    return f'select_{which}'


def first_labels(which: Set) -> str:
    """Labels of the first structures."""
    return f'label_{which}'


def first_dataset(which: Set) -> str:
    """Dataset of the first labels."""
    return f'dataset_{which}'


def train(cycle: int) -> str:
    """Training and scoring."""
    return f'train_{cycle:03d}'


def calibrate(cycle: int) -> str:
    """Calibration of the uncertainty."""
    return f'calibrate_{cycle:03d}'


def config_of(key: str) -> str:
    """Config that a child is given in place of the campaign's own."""
    return f'config_{key}'


def dielectric(cycle: int) -> str:
    """Training of the dielectric model."""
    return f'dielectric_{cycle:03d}'


def validate(cycle: int) -> str:
    """Validation."""
    return f'validate_{cycle:03d}'


def explore(number: int) -> str:
    """Exploration and selection."""
    return f'explore_{number:03d}'


def label(number: int) -> str:
    """Labels of what an exploration selected."""
    return f'label_{number:03d}'


def dataset(number: int) -> str:
    """Dataset extended by these labels."""
    return f'dataset_{number:03d}'


def ledger(number: int) -> str:
    """Ledger extended by these labels."""
    return f'merge_ledgers_{number:03d}'


def kind_of(key: str) -> str:
    """First word of a key."""
    return key.partition('_')[0]


def stage_of(key: str) -> str:
    """Stage that a key belongs to; the key itself if it is of none."""
    return STAGES.get(kind_of(key), key)


def number_of(key: str) -> int:
    """Number at the end of a key; 0 for the beginning of a campaign."""
    number = key.rpartition('_')[2]
    return int(number) if number.isdigit() else 0


def of_kind(kind: str, children: Mapping[str, Child]) -> Iterator[tuple[int, Child]]:
    """Children of a kind with their numbers, in the order given."""
    return ((number_of(key), child) for key, child in children.items() if kind_of(key) == kind)
