"""Frames of one trajectory in training and test set are refused where a campaign file shows them."""

from __future__ import annotations

import pytest

from aiida_traincraft.science.campaign.preflight import Preflight
from aiida_traincraft.science.campaign.shared_sources import check_shared_sources
from aiida_traincraft.science.config.loader import load_campaign, parse_campaign
from aiida_traincraft.science.errors import ConfigError

UUID = '0d7f3b52-6b1d-4f3e-9a55-0f0b8f6a2c11'


@pytest.fixture
def parse(campaign_content, tmp_path):
    """Function that reads a campaign whose systems have these sources: of the training, and of the test set."""

    def read(trained, tested):
        campaign_content['systems'][0]['geometry'] = {'source': trained}
        campaign_content['test_set']['systems'][0]['geometry'] = {'source': tested}
        config = parse_campaign(campaign_content, tmp_path)
        if issues := check_shared_sources(Preflight(config, tmp_path)):
            raise ConfigError(issues)
        return config

    return read


@pytest.mark.parametrize(
    ('trained', 'tested', 'key'),
    [
        ({'type': 'file', 'path': 'run.xyz', 'index': ':9'}, {'type': 'file', 'path': './run.xyz'}, 'path'),
        ({'type': 'file', 'path': 'run.xyz', 'index': 0}, {'type': 'file', 'path': 'FOLDER/run.xyz'}, 'path'),
        ({'type': 'file', 'path': 'run.xyz', 'index': ':'}, {'type': 'file', 'paths': ['a.xyz', 'link.xyz']}, 'paths'),
        ({'type': 'url', 'url': 'https://x.org/a', 'index': ':'}, {'type': 'url', 'url': 'https://x.org/a'}, 'url'),
        ({'type': 'frames', 'path': 'a.frames'}, {'type': 'frames', 'path': 'a.frames'}, 'path'),
        ({'type': 'dataset', 'uuid': UUID}, {'type': 'dataset', 'uuid': UUID[:8], 'system': 'b'}, 'uuid'),
        ({'type': 'aiida', 'group': 'run 7', 'n': 3}, {'type': 'aiida', 'group': 'run 7'}, 'group'),
        ({'type': 'aiida', 'filters': {'label': 'a'}}, {'type': 'aiida', 'filters': {'label': 'a'}}, 'filters'),
    ],
)  # fmt: skip
def test_one_origin_of_several_frames_is_refused(parse, tmp_path, trained, tested, key):
    (tmp_path / 'run.xyz').touch()
    (tmp_path / 'link.xyz').symlink_to(tmp_path / 'run.xyz')
    if tested.get('path', '').startswith('FOLDER'):
        tested = tested | {'path': str(tmp_path / 'run.xyz')}
    with pytest.raises(ConfigError) as caught:
        parse(trained, tested)
    text = str(caught.value)
    assert f'test_set.systems[0].geometry.source.{key}: ' in text
    assert f'is read by systems[0].geometry.source.{"path" if key == "paths" else key} too' in text


@pytest.mark.parametrize(
    ('trained', 'tested'),
    [
        ({'type': 'file', 'path': 'cell.cif'}, {'type': 'file', 'path': 'cell.cif'}),
        ({'type': 'file', 'path': 'a.xyz', 'index': ':'}, {'type': 'file', 'path': 'b.xyz', 'index': ':'}),
        ({'type': 'dataset', 'uuid': UUID}, {'type': 'dataset', 'uuid': UUID, 'split': 'test'}),
        (
            {'type': 'dataset', 'uuid': UUID, 'system': 'a'},
            {'type': 'dataset', 'uuid': UUID, 'system': 'b'},
        ),
        ({'type': 'aiida', 'uuid': UUID}, {'type': 'aiida', 'uuid': UUID}),
        # What is wrong with these is told where they are read.
        ({'type': 'file', 'path': 'a\0', 'index': ':'}, {'type': 'file', 'path': '~nobody-here/a', 'index': ':'}),
    ],
)
def test_one_start_and_other_parts_are_not(parse, trained, tested):
    assert parse(trained, tested).test_set.systems[0].geometry.source.type == tested['type']


def test_paths_of_a_file_refer_to_its_folder(campaign_content, campaign_file):
    path = campaign_file(campaign_content)
    for systems, name in (
        (campaign_content['systems'], 'run.xyz'),
        (campaign_content['test_set']['systems'], str(path.parent / 'run.xyz')),
    ):
        systems[0]['geometry'] = {'source': {'type': 'file', 'path': name, 'index': '::2'}}
    path = campaign_file(campaign_content)
    (issue,) = check_shared_sources(Preflight(load_campaign(path), path.parent))
    assert 'frames of one trajectory' in issue.message
