from __future__ import annotations

import json

import matplotlib.image
import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_traincraft.launch.campaign_builder import builder_from_config
from aiida_traincraft.report.results import write_results
from aiida_traincraft.report.results_folder import open_folder
from aiida_traincraft.science.config.loader import load_campaign, parse_campaign
from aiida_traincraft.science.structure import read_extxyz

FILES = {
    'potential.yaml',
    'potential.yace',
    'potential.asi',
    'dataset.extxyz',
    'test_set.extxyz',
    'learning_curve.png',
    'report.html',
    'campaign.toml',
    'summary.json',
}


@pytest.fixture(scope='module')
def results(tiny_campaign, tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs') / 'tiny'
    summary = write_results(tiny_campaign, folder)
    return folder, summary


def test_all_files_are_there(results):
    folder, _ = results
    assert {path.name for path in folder.iterdir()} == FILES


def test_datasets_read_back_with_their_labels(results, tiny_campaign):
    folder, _ = results
    for name, port, split in (('dataset', 'dataset', 'train'), ('test_set', 'test_set', 'test')):
        read = read_extxyz(folder / f'{name}.extxyz')
        expected = tiny_campaign.outputs[port].get_structures(split)
        assert len(read) == len(expected) > 0
        for frame, other in zip(read, expected, strict=True):
            assert frame.content_hash() == other.content_hash()
            assert frame.properties['energy'] == pytest.approx(other.properties['energy'], abs=1e-6)
            np.testing.assert_allclose(frame.properties['forces'], other.properties['forces'], atol=1e-6)
            np.testing.assert_allclose(frame.properties['stress'], other.properties['stress'], atol=1e-6)
            assert frame.provenance['label'] == other.provenance['label']


def test_the_config_loads_again_as_the_same(results, tiny_campaign):
    folder, _ = results
    again = load_campaign(folder / 'campaign.toml')
    assert again == parse_campaign(tiny_campaign.inputs.config.get_dict())
    assert again.model_dump(mode='json') == tiny_campaign.inputs.config.get_dict()


def test_the_potential_files_are_those_of_the_node(results, tiny_campaign):
    folder, _ = results
    for name in ('potential.yaml', 'potential.yace', 'potential.asi'):
        content = tiny_campaign.outputs.potential.base.repository.get_object_content(name, mode='rb')
        assert (folder / name).read_bytes() == content


def test_the_summary_is_what_was_returned(results):
    folder, summary = results
    assert json.loads((folder / 'summary.json').read_text()) == summary


def test_the_learning_curve_is_a_picture(results):
    folder, _ = results
    image = matplotlib.image.imread(folder / 'learning_curve.png')
    assert image.shape[:2] == (600, 825)
    assert image[..., :3].std() > 0.05


def test_writing_again_replaces(results, tiny_campaign):
    folder, _ = results
    (folder / 'summary.json').write_text('old')
    (folder / 'notes.txt').write_text('mine')
    write_results(tiny_campaign, folder)
    assert json.loads((folder / 'summary.json').read_text())['name'] == 'tiny'
    assert {path.name for path in folder.iterdir()} == FILES | {'notes.txt'}
    (folder / 'notes.txt').unlink()


def test_what_is_not_ours_is_moved_aside(tiny_campaign, tmp_path):
    folder = open_folder(tmp_path / 'tiny', tiny_campaign.uuid)
    (folder / 'dataset.extxyz').write_text('mine')
    (folder / 'model_best.model').write_text('mine')
    (folder / 'student').mkdir()
    (folder / 'student' / 'thesis.tex').write_text('mine')
    for _ in range(2):
        write_results(tiny_campaign, folder)
        assert (folder / 'dataset.extxyz.1').read_text() == 'mine'
        assert (folder / 'model_best.model').read_text() == 'mine'
        assert (folder / 'student' / 'thesis.tex').read_text() == 'mine'
        assert not (folder / 'dataset.extxyz.2').exists()
    assert len(read_extxyz(folder / 'dataset.extxyz')) == len(tiny_campaign.outputs.dataset.rows) - 1


def test_a_campaign_that_failed_early_leaves_what_it_has(campaign_content, python_code, tmp_path):
    campaign_content['systems'][0]['geometry']['builder'] |= {'a': 1.9}
    campaign_content['systems'][0]['sampling'] = {'type': 'rattle', 'n': 2, 'min_distance': 0.0}
    builder = builder_from_config(parse_campaign(campaign_content))
    _, node = run_get_node(builder)
    assert node.exit_status == 404
    assert isinstance(node, orm.WorkChainNode)
    summary = write_results(node, tmp_path / 'failed')
    assert {path.name for path in (tmp_path / 'failed').iterdir()} == {'campaign.toml', 'report.html', 'summary.json'}
    assert summary['stop_reason'] == 'No starting structure passed the physical checks.'
    assert summary['cycles'] == []
