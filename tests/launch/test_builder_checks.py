"""Checks of a campaign before it runs, and the files that go with it."""

from __future__ import annotations

import ase.io
import pytest
from ase.build import bulk

from aiida_traincraft.launch.campaign_builder import builder_from_config
from aiida_traincraft.science.campaign.geometries import check_sampling
from aiida_traincraft.science.campaign.preflight import Preflight
from aiida_traincraft.science.config.loader import parse_campaign
from aiida_traincraft.workchains.seams.trainer import trainer_of

MD = {'type': 'md', 'temperature': 300.0}
RATTLE = {'type': 'rattle'}


@pytest.fixture
def parsed(campaign_content, tmp_path):
    def parse(sampling, test_sampling, **sections) -> Preflight:
        first = campaign_content['systems'][0]
        campaign_content['systems'] = [first, first | {'name': 'second', 'sampling': sampling}]
        campaign_content['test_set']['systems'][0]['sampling'] = test_sampling
        return Preflight(parse_campaign(campaign_content | sections), tmp_path)

    return parse


def test_dft_gives_no_forces_to_draw_the_first_structures_with(parsed):
    labelling = {'type': 'quantumespresso', 'pseudo_family': 'any'}
    issues = check_sampling(parsed(MD, MD, labelling=labelling))
    assert [issue.path for issue in issues] == ['systems[1].sampling', 'test_set.systems[0].sampling']
    for issue in issues:
        assert issue.message == (
            '"md" needs forces before there is a potential, and labelling by "quantumespresso" gives none cheaply: '
            'use "rattle" (for the test set too)'
        )
    assert check_sampling(parsed(RATTLE, RATTLE, labelling=labelling)) == []


def test_a_teacher_draws_them(parsed):
    assert check_sampling(parsed(MD, MD)) == []


def test_files_of_sources_go_with_the_campaign(campaign_content, campaign_file, python_code, tmp_path):
    for name in ('one.cif', 'two.cif', 'three.cif'):
        ase.io.write(tmp_path / name, bulk('Cu', cubic=True))
    first = campaign_content['systems'][0]
    sources = [{'type': 'file', 'path': 'one.cif'}, {'type': 'file', 'paths': ['two.cif', str(tmp_path / 'three.cif')]}]
    campaign_content['systems'] = [
        first | {'name': f'system{number}', 'geometry': {'source': source}} for number, source in enumerate(sources)
    ]
    builder = builder_from_config(campaign_file(campaign_content))
    assert {key: node.filename for key, node in builder.files.items()} == {
        'file_000': 'one.cif',
        'file_001': 'two.cif',
        'file_002': 'three.cif',
    }
    one, two = (system['geometry']['source'] for system in builder.config['systems'])
    assert (one['path'], one['paths']) == ('file_000/one.cif', None)
    assert (two['path'], two['paths']) == (None, ['file_001/two.cif', 'file_002/three.cif'])


def test_too_few_structures_to_train_on(campaign_content, tmp_path):
    campaign_content['training'] |= {'functions': 10, 'active_set_size': 2}
    config = parse_campaign(campaign_content)
    (issue,) = trainer_of(config.training).check(Preflight(config, tmp_path))
    assert issue.path == 'training.active_set_size'
    assert 'take at least 3' in issue.message
    # More than there will be at first: a campaign grows.
    campaign_content['training']['active_set_size'] = 1000
    config = parse_campaign(campaign_content)
    assert trainer_of(config.training).check(Preflight(config, tmp_path)) == []
