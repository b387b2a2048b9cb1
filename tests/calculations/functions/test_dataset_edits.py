"""Datasets made from labels and from datasets."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from aiida import orm
from ase import Atoms

from aiida_traincraft.calculations.functions.dataset_edits import (
    filter_dataset,
    give_e0,
    merge_datasets,
    reduce_dataset,
    split_dataset,
    weight_dataset,
)
from aiida_traincraft.calculations.functions.gathering import gather_dataset
from aiida_traincraft.data.dataset import DatasetData, DatasetRow, isolated_atom_energies, label_attributes
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.science.config.training.pace_linear import PaceLinearTraining
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.training.ace.reduction import reduce_structures

LEVEL = 'level of the dataset operations'


@pytest.fixture(scope='module')
def frames(copper_frames, with_emt_labels):
    """Thirty frames: groups of 2, 3, 5 and 10, ten without; systems by turns; and an isolated atom."""
    names = ['a'] * 2 + ['b'] * 3 + ['c'] * 5 + ['d'] * 10 + [None] * 10
    found = []
    for index, (frame, name) in enumerate(zip(copper_frames, names, strict=True)):
        facts = {'system': ('even', 'odd')[index % 2], 'group': name, 'level_of_theory': LEVEL}
        found.append(Structure(frame.atoms, frame.properties, facts))
    atom = with_emt_labels(Structure(Atoms('Cu', pbc=False), provenance={'system': 'isolated_atom'}))
    atom.provenance['level_of_theory'] = LEVEL
    return [*found, atom]


@pytest.fixture(scope='module')
def labels(aiida_profile, frames):
    """Manifest of their labels."""
    nodes = [LabelData(frame).store() for frame in frames]
    return ManifestData([node.uuid for node in nodes], [node.fingerprint for node in nodes]).store()


@pytest.fixture(scope='module')
def dataset(labels, frames):
    """All of them, to train on."""
    rows = [
        DatasetRow(uuid, fingerprint, frame.content_hash(), 'train')
        for uuid, fingerprint, frame in zip(labels.uuids[:-1], labels.fingerprints, frames, strict=False)
    ]
    rows.append(DatasetRow(labels.uuids[-1], labels.fingerprints[-1], frames[-1].content_hash(), 'e0'))
    return DatasetData(rows, [LEVEL], isolated_atom_energies(frames[-1:])).store()


def by_split(dataset, name):
    """Values of an attribute of the labels, by split."""
    found = defaultdict(list)
    rows = dataset.rows
    for row, (value,) in zip(rows, label_attributes([row.label for row in rows], name), strict=True):
        found[row.split].append(value)
    return found


def matching(filters):
    # A key of a Dict itself cannot have a dot.
    return orm.Dict({'and': [filters]})


def options(**changes):
    return orm.Dict({'test_fraction': 0.2, 'by': 'group', 'tolerance': None, 'seed': 1} | changes)


@pytest.mark.parametrize('seed', range(4))
def test_no_group_is_divided(dataset, seed):
    split = split_dataset(dataset, options(seed=seed))
    groups = by_split(split, 'group')
    assert not set(groups['test']) & set(groups['train']) - {None}
    assert 4 <= split.count('test') <= 8
    assert split.count('test') + split.count('train') == 30
    assert split.e0 == dataset.e0
    assert split.creator.inputs.dataset.uuid == dataset.uuid
    assert [row.label for row in split.rows] == [row.label for row in dataset.rows]
    assert dataset.count('test') == 0


def test_a_split_is_the_same_for_the_same_seed(dataset):
    digests = [split_dataset(dataset, options(by='frame', seed=seed)).digest for seed in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


def test_by_system_and_by_frame(dataset):
    systems = by_split(split_dataset(dataset, options(by='system', test_fraction=0.4)), 'system')
    assert len(set(systems['test'])) == len(set(systems['train'])) == 1
    assert split_dataset(dataset, options(by='frame', test_fraction=0.5)).count('test') == 15


def test_what_shares_a_group_with_the_test_set_joins_it(dataset):
    rows = [
        DatasetRow(row.label, row.fingerprint, row.structure, 'test') if index in (0, 12) else row
        for index, row in enumerate(dataset.rows)
    ]
    started = DatasetData(rows, [LEVEL], dataset.e0).store()
    split = split_dataset(started, options(test_fraction=0.1))
    # Groups a and d, which is more than the fraction.
    assert by_split(split, 'group')['test'] == ['a'] * 2 + ['d'] * 10
    with pytest.raises(ValueError, match='would stay as it is, 12 of 30 structures'):
        split_dataset(split, options(test_fraction=0.1))


def test_near_duplicates_join_groups(dataset, labels, frames):
    turned = frames[0].copy()
    turned.atoms.rotate(30, 'z', rotate_cell=True)
    turned.provenance['group'] = 'turned'
    label = LabelData(turned).store()
    row = DatasetRow(label.uuid, label.fingerprint, label.structure_fingerprint)
    grown = DatasetData([row], [LEVEL], {}, parent=dataset).store()
    for seed in range(3):
        split = split_dataset(grown, options(tolerance=1e-4, test_fraction=0.5, seed=seed))
        splits = {row.label: row.split for row in split.rows}
        assert splits[label.uuid] == splits[labels.uuids[0]] == splits[labels.uuids[1]]


def test_one_group_cannot_be_split(dataset):
    one = filter_dataset(dataset, matching({'attributes.group': 'd'}))
    with pytest.raises(ValueError, match=r'all 10 training structures hang together.*split by frame'):
        split_dataset(one, options())
    with pytest.raises(ValueError, match='would stay as it is, 0 of 0'):
        split_dataset(DatasetData([], [LEVEL], {}).store(), options())
    with pytest.raises(ValueError, match='test_fraction is 1'):
        split_dataset(one, options(test_fraction=1))
    with pytest.raises(ValueError, match="by is 'colour'"):
        split_dataset(one, options(by='colour'))


def test_weights_by_system_and_group(dataset):
    chosen = orm.Dict({'systems': {'odd': 2.0}, 'groups': {'a': 5.0}})
    weights = [row.weight for row in weight_dataset(dataset, chosen).rows]
    assert weights[:4] == [5.0, 10.0, 1.0, 2.0]
    assert weights[-1] == 1.0
    with pytest.raises(ValueError, match="no structure of the dataset is of group 'z' or system 'y'"):
        weight_dataset(dataset, orm.Dict({'systems': {'y': 2.0}, 'groups': {'z': 2.0}}))
    with pytest.raises(ValueError, match=r"weight of system 'odd' is 0"):
        weight_dataset(dataset, orm.Dict({'systems': {'odd': 0.0}, 'groups': {}}))


def test_filters(dataset):
    few = filter_dataset(dataset, matching({'attributes.n_atoms': {'>': 4}, 'attributes.system': 'odd'}))
    assert few.count('train') == 5
    assert few.count('e0') == 1
    assert few.systems == {'odd': 5}
    energies = sorted(by_split(dataset, 'energy_per_atom')['train'])
    bound = np.ceil(energies[-4] * 1000) / 1000
    window = {'attributes.energy_per_atom': {'and': [{'>=': bound}, {'<': 1000}]}}
    assert filter_dataset(dataset, matching(window)).count('train') == sum(energy >= bound for energy in energies)
    with pytest.raises(ValueError, match='none of the 30 structures matches'):
        filter_dataset(dataset, matching({'attributes.system': 'neither'}))


def test_merging_counts_a_structure_once(dataset):
    odd = filter_dataset(dataset, matching({'attributes.system': 'odd'}))
    group = filter_dataset(dataset, matching({'attributes.group': 'c'}))
    merged = merge_datasets(one=odd, two=group)
    assert merged.count('train') == 15 + 2
    assert merged.count('e0') == 1
    assert len(merged.new_rows) == 2
    assert merged.parent.uuid == odd.uuid
    assert merge_datasets(a=odd, b=dataset).digest == dataset.digest


def test_merging_refuses_leaks_and_other_levels(dataset):
    split = split_dataset(dataset, options(by='frame', test_fraction=0.1))
    first = next(row.label for row in dataset.rows if row.label in {r.label for r in split.rows if r.split == 'test'})
    with pytest.raises(ValueError, match=f'3 structures are in different splits.*label {first}'):
        merge_datasets(one=split, two=dataset)
    other = DatasetData([], ['other'], {}).store()
    with pytest.raises(ValueError, match='2 levels of theory'):
        merge_datasets(one=dataset, two=other)
    shifted = DatasetData([], [LEVEL], {'Cu': dataset.e0['Cu'] + 0.01}).store()
    with pytest.raises(ValueError, match='isolated Cu has two energies'):
        merge_datasets(one=dataset, two=shifted)
    empty = DatasetData([], [LEVEL], {}).store()
    with pytest.raises(ValueError, match='isolated Cu has two energies'):
        merge_datasets(one=empty, three=dataset, two=shifted)


def test_gathering_from_a_manifest_and_by_filters(aiida_profile, frames):
    level = 'level of the gathered labels'
    nodes = []
    for frame in frames:
        nodes.append(LabelData(Structure(frame.atoms, frame.properties, frame.provenance | {'level_of_theory': level})))
        nodes[-1].store()
    everything = gather_dataset(orm.Str(level))
    assert [everything.count(split) for split in ('train', 'test', 'e0')] == [30, 0, 1]
    assert everything.systems == {'even': 15, 'odd': 15}
    some = ManifestData([node.uuid for node in nodes[:7]], [node.fingerprint for node in nodes[:7]]).store()
    gathered = gather_dataset(orm.Str(level), labels=some)
    assert [row.label for row in gathered.rows] == [node.uuid for node in nodes[:7]]
    assert gathered.creator.inputs.labels.uuid == some.uuid
    filtered = gather_dataset(orm.Str(level), filters=matching({'attributes.group': {'in': ['a', 'b']}}))
    # The isolated atom stays.
    assert [filtered.count(split) for split in ('train', 'e0')] == [5, 1]
    both = gather_dataset(orm.Str(level), labels=some, filters=matching({'attributes.group': 'b'}))
    assert both.count('train') == 3
    # From here on, the test set is nobody's training data.
    split = split_dataset(gathered, options())
    extended = DatasetData([], [level], {}, parent=split).store()
    assert extended.count('test') == split.count('test')
    assert gather_dataset(orm.Str(level)).count('train') == 30 - split.count('test')
    with pytest.raises(ValueError, match='there is no such label'):
        gather_dataset(orm.Str('no such level'))


def test_e0_that_was_calculated_elsewhere(dataset):
    given = give_e0(dataset, orm.Dict({'Al': -1.5}))
    assert given.e0 == {**dataset.e0, 'Al': -1.5}
    assert [row.label for row in given.rows] == [row.label for row in dataset.rows]
    for energies, message in (({'Qq': 1.0}, 'no energy of an element'), ({'Cu': 9.0}, 'two energies')):
        with pytest.raises(ValueError, match=message):
            give_e0(dataset, orm.Dict(energies))


@pytest.mark.parametrize('method', ['greedy', 'maxvol'])
def test_the_most_informative_structures_stay(dataset, method):
    pytest.importorskip('pyace')
    split = split_dataset(dataset, options())
    settings = orm.Dict({'size': 9, 'method': method, 'cutoff': 4.5})
    reduced, node = reduce_dataset.run_get_node(split, settings)
    assert (reduced.count('train'), reduced.count('test'), reduced.count('e0')) == (9, 6, 1)
    assert set(reduced.rows) < set(split.rows)
    assert reduced.e0 == split.e0
    assert reduced.creator.uuid == node.uuid
    assert node.inputs.dataset.uuid == split.uuid
    config = PaceLinearTraining(cutoff=4.5)
    structures = split.get_structures('train')
    picked = reduce_structures(structures, config, 9, method).picked
    assert {row.label for row in reduced.rows if row.split == 'train'} == {
        structures[index].provenance['label'] for index in picked
    }


def test_a_reduction_that_cannot_be(dataset):
    settings = {'size': 31, 'method': 'greedy', 'cutoff': 5.0}
    with pytest.raises(ValueError, match='31 structures cannot be picked of 30'):
        reduce_dataset(dataset, orm.Dict(settings))
    with pytest.raises(ValueError, match='take at least 2'):
        reduce_dataset(dataset, orm.Dict(settings | {'size': 1}))
    with pytest.raises(ValueError, match='active_set_method'):
        reduce_dataset(dataset, orm.Dict(settings | {'method': 'best'}))
