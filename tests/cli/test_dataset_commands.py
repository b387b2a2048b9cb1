"""``traincraft dataset`` and ``traincraft export dataset``."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from ase import Atoms

from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.provenance.describe import IMPORT_PROCESS_TYPE
from aiida_traincraft.science.structure import Structure, read_extxyz


@pytest.fixture(scope='module')
def level(aiida_profile):
    return LevelOfTheoryData.get_or_create({'name': 'level of the dataset commands'}).hash


@pytest.fixture(scope='module')
def manifest(level, copper_frames, with_emt_labels):
    """Twenty labels of four groups and two systems, and an isolated atom."""
    frames = [
        Structure(f.atoms, f.properties, {'system': 'hot' if i % 2 else 'cold', 'group': f'run {i % 4}'})
        for i, f in enumerate(copper_frames[:20])
    ]
    frames.append(with_emt_labels(Structure(Atoms('Cu', pbc=False), provenance={'system': 'isolated_atom'})))
    for frame in frames:
        frame.provenance['level_of_theory'] = level
    nodes = [LabelData(frame).store() for frame in frames]
    return ManifestData([node.uuid for node in nodes], [node.fingerprint for node in nodes]).store()


@pytest.fixture
def made(traincraft):
    """Function that calls a command that makes a dataset; returns the dataset."""

    def call(*arguments):
        result = traincraft('dataset', *arguments)
        assert result.exit_code == 0, result.output
        node = orm.load_node(result.output.split()[-1])
        assert isinstance(node, DatasetData)
        assert str(node) in result.output
        return node

    return call


@pytest.fixture(scope='module')
def whole(manifest, level):
    from aiida_traincraft.calculations.functions.gathering import gather_dataset

    return gather_dataset(orm.Str(level), labels=manifest)


def test_create_from_an_import_and_by_level(made, manifest, level):
    dataset = made('create', '--import', manifest.pk)
    assert [dataset.count(split) for split in ('train', 'test', 'e0')] == [20, 0, 1]
    process = orm.CalculationNode().store()
    output = ManifestData(manifest.uuids[:3], manifest.fingerprints[:3])
    output.base.links.add_incoming(process, LinkType.CREATE, 'manifest')
    output.store()
    assert made('create', '--import', process.pk).count('train') == 3
    few = made('create', '--import', manifest.uuid, '--system', 'hot', '--element', 'Cu', '--formula', 'Cu8')
    assert 0 < few.count('train') < 10
    assert set(few.systems) == {'hot'}
    assert made('create', '--level', level[:10], '--where', '{"attributes.n_atoms": {"<": 5}}').systems


def test_create_explains_itself(refused, manifest, level):
    assert 'either --level-of-theory or --import' in refused('dataset', 'create')
    assert '0 levels of theory' in refused('dataset', 'create', '--level', 'ffffffffff')
    assert 'is no import' in refused('dataset', 'create', '--import', 'nothing')
    assert 'no label matches' in refused('dataset', 'create', '--import', manifest.pk, '--system', 'none')
    assert 'this is no JSON' in refused('dataset', 'create', '--level', level, '--where', '{')
    assert 'give a table' in refused('dataset', 'create', '--level', level, '--where', '3')
    bad = refused('dataset', 'create', '--level', level, '--where', '{"attributes.n_atoms": {"near": 3}}')
    assert '--where' in bad
    assert '--where' in refused('dataset', 'create', '--level', level, '--where', '{"colour": "red"}')
    assert '--max-force' in refused('dataset', 'create', '--level', level, '--max-force', 'large')
    assert 'no chemical formula' in refused('dataset', 'create', '--level', level, '--formula', 'Xx7')


def test_split_and_check(traincraft, made, whole):
    split = made('split', whole.uuid, '--test-fraction', 0.25)
    assert split.count('test') == 5
    assert split.creator.inputs.options['tolerance'] > 0
    assert 'no group' not in traincraft('dataset', 'check', split.pk).output
    result = traincraft('dataset', 'check', split.pk)
    assert result.exit_code == 0, result.output
    assert 'no leaks' in result.output
    by_frame = made('split', whole.uuid, '--test-fraction', 0.5, '--by', 'frame', '--exact', '--seed', 3)
    assert by_frame.creator.inputs.options['tolerance'] is None
    result = traincraft('dataset', 'check', by_frame.uuid)
    assert result.exit_code == 1
    assert "both of group 'run " in result.output
    assert '10 leaks' in result.output


def test_split_explains_itself(made, refused, whole):
    assert '--test-fraction' in refused('dataset', 'split', whole.pk, '--test-fraction', 1.0)
    assert 'leave --tolerance out' in refused(
        'dataset', 'split', whole.pk, '--test-fraction', 0.1, '--exact', '--tolerance', 0.1
    )
    cold = made('filter', whole.uuid, '--where', '{"attributes.group": "run 2"}')
    assert 'hang together' in refused('dataset', 'split', cold.uuid, '--test-fraction', 0.2)


def test_weight(made, refused, whole):
    dataset = made('weight', whole.uuid, '--system', 'hot=2.5', '--group', 'run 1=2')
    assert sorted({row.weight for row in dataset.rows}) == [1.0, 2.5, 5.0]
    assert 'at least one' in refused('dataset', 'weight', whole.uuid)
    assert "'hot' is not NAME=WEIGHT" in refused('dataset', 'weight', whole.uuid, '--system', 'hot')
    assert "of system 'warm'" in refused('dataset', 'weight', whole.uuid, '--system', 'warm=2')
    assert 'must be positive' in refused('dataset', 'weight', whole.uuid, '--group', 'run 1=-2')


def test_filter_and_merge(made, refused, whole, copper_dataset):
    energies = [frame.properties['energy'] / len(frame) for frame in whole.iterate('train')]
    middle = float(np.median(energies))
    low = made('filter', whole.uuid, '--energy-per-atom', f':{middle}')
    high = made('filter', whole.uuid, '--energy-per-atom', f'{middle}:')
    assert (low.count('train'), high.count('train')) == (10, 10)
    merged = made('merge', low.uuid, high.uuid)
    assert merged.digest == whole.digest
    assert merged.parent.uuid == low.uuid
    assert 'at least one filter' in refused('dataset', 'filter', whole.uuid)
    assert 'at least two' in refused('dataset', 'merge', low.uuid)
    assert '2 levels of theory' in refused('dataset', 'merge', low.uuid, copper_dataset.uuid)


def test_show(traincraft, refused, made, whole):
    result = traincraft('dataset', 'show', whole.uuid)
    assert result.exit_code == 0, result.output
    assert '10 structures of hot' in result.output
    assert 'E0: Cu 3.5' in result.output
    assert 'parent' not in result.output
    parts = [made('filter', whole.uuid, '--system', name) for name in ('hot', 'cold')]
    merged = made('merge', *(part.uuid for part in parts))
    assert f'10 more than its parent {parts[0].uuid}' in traincraft('dataset', 'show', merged.pk).output
    assert "there is no dataset 'nowhere'" in refused('dataset', 'show', 'nowhere')
    assert 'there is no dataset' in refused('dataset', 'show', whole.creator.uuid)
    imported = orm.CalculationNode(process_type=IMPORT_PROCESS_TYPE).store()
    assert f'dataset create --import {imported.pk}' in refused('dataset', 'show', imported.uuid)


def test_frames_without_a_group_are_counted(traincraft, store_dataset, copper_frames):
    frames = [Structure(frame.atoms, frame.properties, {'level_of_theory': 'emt'}) for frame in copper_frames[:4]]
    frames[0].provenance['group'] = 'a run'
    dataset = store_dataset(frames)
    words = '3 of 4 structures have no group: each counts for itself'
    assert words in traincraft('dataset', 'check', dataset.uuid).output
    arguments = ('dataset', 'split', dataset.uuid, '--test-fraction', 0.25, '--exact')
    assert words in traincraft(*arguments).output
    assert words not in traincraft(*arguments, '--by', 'frame').output


def test_export(traincraft, refused, whole, tmp_path):
    result = traincraft('export', 'dataset', whole.uuid)
    assert result.exit_code == 0, result.output
    path = tmp_path / f'dataset-{whole.uuid[:8]}.extxyz'
    assert len(read_extxyz(path)) == 21
    assert 'is there already' in refused('export', 'dataset', whole.uuid)
    for format, name in (('pckl.gzip', 'a.pckl.gzip'), ('hdf5', 'a.h5')):
        arguments = ('export', 'dataset', whole.uuid, '--format', format, '--output', name, '--split', 'train')
        result = traincraft(*arguments)
        assert result.exit_code == 0, result.output
        assert '20 structures (train)' in result.output
        assert (tmp_path / name).stat().st_size
    assert 'no structure in test' in refused('export', 'dataset', whole.uuid, '--split', 'test', '--output', 'b')


@pytest.fixture(scope='module')
def without_e0(manifest, level):
    from aiida_traincraft.calculations.functions.gathering import gather_dataset

    return gather_dataset(orm.Str(level), labels=ManifestData(manifest.uuids[:20], manifest.fingerprints[:20]))


def test_e0_is_given_where_no_isolated_atom_was_labelled(made, refused, without_e0):
    given = made('e0', without_e0.pk, 'Cu=-0.5')
    assert (given.e0, without_e0.e0) == ({'Cu': -0.5}, {})
    assert 'is no energy of an element' in refused('dataset', 'e0', without_e0.pk, 'Xq=-0.5')
    assert 'is not ELEMENT=ENERGY' in refused('dataset', 'e0', without_e0.pk, 'Cu')
    assert "'Cu' is given twice" in refused('dataset', 'e0', without_e0.pk, 'Cu=-0.5', 'cu=-0.6')


def test_a_training_without_e0_is_refused_before_it_is_submitted(refused, without_e0, campaign_file, campaign_content):
    output = refused('train', campaign_file(campaign_content), '--dataset', without_e0.uuid)
    assert 'has no energy of an isolated atom (E0) of Cu' in output
    assert f'dataset e0 {without_e0.pk} Cu=ENERGY' in output.replace('\n', ' ')


def test_isolated_atoms_alone_are_no_dataset(refused, manifest):
    atom = ManifestData(manifest.uuids[20:], manifest.fingerprints[20:]).store()
    before = orm.QueryBuilder().append(orm.ProcessNode).count()
    assert 'nothing to train on: there are only 1 isolated atoms' in refused('dataset', 'create', '--import', atom.uuid)
    assert orm.QueryBuilder().append(orm.ProcessNode).count() == before


def test_reduce(made, refused, whole):
    reduced = made('reduce', whole.pk, '--size', 6, '--cutoff', 4.5)
    assert (reduced.count('train'), reduced.count('e0')) == (6, 1)
    assert reduced.creator.inputs.dataset.uuid == whole.uuid
    assert made('reduce', whole.pk, '--size', 6, '--cutoff', 4.5, '--method', 'maxvol').count('train') == 6
    assert '21 structures cannot be picked of 20' in refused('dataset', 'reduce', whole.pk, '--size', 21)
    assert 'take at least 2' in refused('dataset', 'reduce', whole.pk, '--size', 1)
    assert "'best' is not one of" in refused('dataset', 'reduce', whole.pk, '--size', 6, '--method', 'best')
    assert '--cutoff' in refused('dataset', 'reduce', whole.pk, '--size', 6, '--cutoff', 0)
