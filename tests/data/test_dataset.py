"""Datasets that extend others keep what is new, and look like any other."""

from __future__ import annotations

import json

import pytest
from aiida import orm

from aiida_traincraft.calculations.functions.datasets import extend_dataset
from aiida_traincraft.data.dataset import DatasetData, DatasetRow, label_attributes
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.manifest import MANIFEST_FILE, ManifestData
from aiida_traincraft.science.structure import Structure


@pytest.fixture(scope='module')
def rows(aiida_profile, copper_frames):
    """Rows of six labels."""
    labels = [LabelData(frame).store() for frame in copper_frames[:6]]
    return [DatasetRow(node.uuid, node.fingerprint, node.structure_fingerprint) for node in labels]


def file_rows(dataset):
    return json.loads(dataset.base.repository.get_object_content(MANIFEST_FILE))


def test_an_extension_keeps_only_what_is_new(rows):
    first = DatasetData(rows[:3], ['emt'], {'Cu': 3.5}).store()
    second = DatasetData(rows[3:5], ['emt'], {}, parent=first).store()
    third = orm.load_node(DatasetData(rows[5:], ['emt'], {'Ni': 3.6}, parent=second).store().uuid)
    assert [row['label'] for row in file_rows(third)] == [rows[5].label]
    assert third.parent.uuid == second.uuid
    assert third.parent.parent.uuid == first.uuid
    assert first.parent is None
    assert third.rows == rows
    assert list(third.new_rows) == rows[5:]
    assert third.count('train') == 6
    assert third.e0 == {'Cu': 3.5, 'Ni': 3.6}
    assert second.e0 == {'Cu': 3.5}
    assert third.levels_of_theory == ['emt']
    assert third.systems == {'bulk': 6}
    whole = DatasetData(rows[::-1], ['emt'], {'Cu': 3.5, 'Ni': 3.6}).store()
    assert third.digest == whole.digest != second.digest
    assert third.base.caching.get_hash() == whole.base.caching.get_hash()


def test_an_extension_is_checked_against_its_parent(rows):
    parent = DatasetData(rows[:2], ['emt'], {}).store()
    twin = DatasetRow(rows[2].label, rows[2].fingerprint, rows[0].structure, 'test')
    with pytest.raises(ValueError, match='occurs twice, in splits train and test'):
        DatasetData([twin], ['emt'], {}, parent=parent)
    with pytest.raises(ValueError, match='2 levels of theory'):
        DatasetData(rows[2:3], ['pbe'], {}, parent=parent)
    with pytest.raises(ValueError, match='store the parent first'):
        DatasetData(rows[2:], ['emt'], {}, parent=DatasetData(rows[:2], ['emt'], {}))


def test_a_label_that_is_not_there_is_refused(aiida_profile):
    with pytest.raises(ValueError, match=r'1 labels are not in the database, the first is nowhere'):
        DatasetData([DatasetRow('nowhere', 'f', 's')], ['emt'], {})


def test_structures_of_both_come_in_order(rows, copper_frames):
    parent = DatasetData(rows[:2], ['emt'], {}).store()
    later = [DatasetRow(row.label, row.fingerprint, row.structure, 'train', 2.0) for row in rows[2:4]]
    dataset = DatasetData(later, ['emt'], {}, parent=parent).store()
    structures = list(dataset.iterate('train'))
    assert [s.content_hash() for s in structures] == [f.content_hash() for f in copper_frames[:4]]
    assert [s.provenance['weight'] for s in structures] == [1.0, 1.0, 2.0, 2.0]
    assert [s.provenance['label'] for s in structures] == [row.label for row in rows[:4]]
    assert list(dataset.iterate('test')) == []


def test_a_dataset_without_counts_of_systems_counts_them(rows):
    dataset = DatasetData(rows, ['emt'], {})
    dataset.base.attributes.delete('systems')
    dataset.base.attributes.delete('parent')
    assert dataset.store().systems == {'bulk': 6}
    assert dataset.parent is None


def test_attributes_come_in_the_order_asked_for(rows, copper_frames):
    labels = [row.label for row in rows[::-1]]
    energies = [energy for energy, _ in label_attributes(labels, 'energy', 'group')]
    assert energies == pytest.approx([frame.properties['energy'] for frame in copper_frames[5::-1]])


def test_extend_dataset_links_its_members_and_its_parent(copper_frames, with_emt_labels):
    from ase import Atoms

    def manifest(frames):
        nodes = [LabelData(frame).store() for frame in frames]
        return ManifestData([node.uuid for node in nodes], [node.fingerprint for node in nodes]).store()

    atom = with_emt_labels(Structure(Atoms('Cu', pbc=False), provenance={'system': 'isolated_atom'}))
    first = extend_dataset(manifest([*copper_frames[:2], atom]), orm.Str('test'))
    second = extend_dataset(manifest(copper_frames[2:5]), orm.Str('train'), previous=first)
    assert [second.count(split) for split in ('train', 'test', 'e0')] == [3, 2, 1]
    assert second.e0 == {'Cu': atom.properties['energy']}
    assert second.systems == {'bulk': 5}
    assert second.parent.uuid == first.uuid == second.creator.inputs.previous.uuid
    linked = second.creator.base.links.get_incoming(LabelData).all_nodes()
    assert {node.uuid for node in linked} == {row.label for row in second.new_rows}
