"""The level of theory of a teacher whose model lies in a file."""

from __future__ import annotations

import pytest
from aiida import orm

from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.science.config.loader import parse_campaign
from aiida_traincraft.workchains.seams.labeller import labeller_of


@pytest.fixture
def level(campaign_content, python_code):
    """Function that gives the level of theory of a MACE model in a file."""

    def find(path, code=python_code):
        labelling = {'type': 'ase', 'calculator': {'type': 'mace', 'model': str(path)}}
        section = parse_campaign(campaign_content | {'labelling': labelling}).labelling
        content = labeller_of(section).level_of_theory({'codes': {'ase': code}}, frozenset())
        return LevelOfTheoryData.get_or_create(content)

    return find


def test_one_file_under_two_paths_is_one_level(level, tmp_path):
    for name in ('one', 'two', 'three'):
        (tmp_path / f'{name}.model').write_text('other weights' if name == 'three' else 'weights')
    one, two, three = (level(tmp_path / f'{name}.model') for name in ('one', 'two', 'three'))
    assert one.uuid == two.uuid
    assert one.hash != three.hash
    (tmp_path / 'one.model').write_text('other weights')
    assert level(tmp_path / 'one.model').uuid == three.uuid


def test_a_file_on_another_machine_is_its_path(level, tmp_path):
    computer = orm.Computer(
        'other-machine', 'cluster.example.org', '', 'core.ssh', 'core.slurm', workdir=str(tmp_path)
    ).store()
    code = orm.InstalledCode(computer, '/usr/bin/python', label='python-of-the-cluster').store()
    path = tmp_path / 'a.model'
    path.write_text('weights of this machine')
    assert level(path, code).content['calculator']['model'] == str(path)
