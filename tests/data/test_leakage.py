from __future__ import annotations

import pytest

from aiida_traincraft.data.dataset import DatasetData, DatasetRow
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.leakage import Leak, find_known, find_leaks, tell
from aiida_traincraft.science.structure import Structure

TOLERANCE = 1e-4


@pytest.fixture(scope='module')
def make(aiida_profile):
    """Function that makes a dataset of frames with their groups; returns it and the labels."""

    def dataset(train, test):
        rows, labels = [], []
        for split, members in (('train', train), ('test', test)):
            for frame, group in members:
                facts = frame.provenance | {'group': group}
                label = LabelData(Structure(frame.atoms, frame.properties, facts)).store()
                rows.append(DatasetRow(label.uuid, label.fingerprint, label.structure_fingerprint, split))
                labels.append(label.uuid)
        return DatasetData(rows, ['emt'], {}).store(), labels

    return dataset


def turned(frame):
    copy = frame.copy()
    copy.atoms.rotate(40, 'x', rotate_cell=True)
    copy.atoms.positions += 0.3
    return copy


def test_no_leaks(make, copper_frames):
    dataset, _ = make([(copper_frames[0], 'a'), (copper_frames[1], None)], [(copper_frames[2], None)])
    assert find_leaks(dataset, TOLERANCE) == []


def test_shared_groups_are_found(make, copper_frames):
    train = [(copper_frames[0], 'a'), (copper_frames[1], 'a'), (copper_frames[2], 'b'), (copper_frames[3], None)]
    dataset, labels = make(train, [(copper_frames[4], 'c'), (copper_frames[5], 'a'), (copper_frames[6], None)])
    leaks = find_leaks(dataset, TOLERANCE)
    assert [(leak.train, leak.test, leak.group, leak.distance) for leak in leaks] == [
        (labels[0], labels[5], 'a', None),
        (labels[1], labels[5], 'a', None),
    ]


def test_near_duplicates_across_splits_are_found(make, copper_frames):
    twins = [turned(frame) for frame in copper_frames[:2]]
    # The first has its twin in the same split, the second in the other.
    train = [(copper_frames[0], None), (twins[0], None), (copper_frames[1], None)]
    dataset, labels = make(train, [(copper_frames[3], None), (twins[1], None)])
    (leak,) = find_leaks(dataset, TOLERANCE)
    assert (leak.train, leak.test, leak.group) == (labels[2], labels[4], None)
    assert 0 <= leak.distance <= TOLERANCE


def test_of_many_test_twins_the_nearest_is_named(make, copper_frames):
    base = copper_frames[7]
    moved = []
    for step in (2e-4, 1e-4, 3e-4):
        frame = base.copy()
        frame.atoms.positions[0] += step
        moved.append((frame, None))
    dataset, labels = make([(base, None), (copper_frames[8], None)], moved)
    (leak,) = find_leaks(dataset, 1e-3)
    assert (leak.train, leak.test) == (labels[0], labels[3])


def test_an_empty_test_set_leaks_nothing(make, copper_frames):
    dataset, _ = make([(copper_frames[0], 'a'), (copper_frames[1], 'a')], [])
    assert find_leaks(dataset, TOLERANCE) == []


def test_two_datasets(make, copper_frames):
    train, labels = make(
        [(copper_frames[0], 'a'), (copper_frames[1], 'b'), (copper_frames[2], None), (copper_frames[3], None)], []
    )
    # Of another composition, of the same group, the same, turned; what it trains on itself is no test.
    molecule = copper_frames[9].copy()
    molecule.atoms.numbers[0] = 47
    tested = [(molecule, None), (copper_frames[8], 'b'), (copper_frames[2], None), (turned(copper_frames[3]), None)]
    sealed, others = make([(copper_frames[0], 'a')], tested)
    leaks = find_leaks(train, TOLERANCE, sealed)
    assert [(leak.train, leak.test, leak.group) for leak in leaks] == [
        (labels[1], others[2], 'b'),
        (labels[2], others[3], None),
        (labels[3], others[4], None),
    ]
    assert [str(leak).partition(': ')[2].split(' at')[0] for leak in leaks] == [
        "both of group 'b'",
        'the same structure',
        'near duplicates',
    ]
    assert find_known(train, sealed) == leaks[:2]
    assert tell(leaks[1:]) == f'2 training structures tell of the test set, the first: {leaks[1]}'
    assert find_leaks(sealed, TOLERANCE, train) == []


@pytest.mark.parametrize(
    ('leak', 'told'),
    [
        (Leak('a', 'b'), 'the same structure'),
        (Leak('a', 'b', group='run 1'), "both of group 'run 1'"),
        (Leak('a', 'b', distance=1e-5), 'near duplicates at 1.0e-05'),
    ],
)
def test_each_kind_of_leak_is_told(leak, told):
    assert str(leak) == f'train a, test b: {told}'
