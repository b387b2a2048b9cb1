"""A campaign whose teacher cannot give what it is asked for is refused before it starts."""

import pytest

from aiida_traincraft.science.config.campaign import parse_campaign
from aiida_traincraft.workchains.builder import check_geometries


@pytest.fixture
def issues(campaign_content, tmp_path):
    def check(**sections):
        _, found = check_geometries(parse_campaign(campaign_content | sections), tmp_path)
        return {issue.path: issue.message for issue in found}

    return check


def test_dipoles_need_a_teacher_that_gives_them(issues):
    training = {'type': 'mace', 'model': 'EnergyDipolesMACE'}
    assert issues() == {}
    found = issues(training=training)
    assert found['labelling.calculator'].startswith("calculator 'emt' gives no dipole; it gives energy, forces")
    assert '(needed by ' in found['labelling.calculator']


def test_cells_of_several_sizes_and_one_k_point(issues, campaign_content):
    labelling = {'type': 'ase', 'calculator': {'type': 'tblite'}}
    assert issues(labelling=labelling) == {}
    first = campaign_content['systems'][0]
    transforms = [{'type': 'supercell', 'repeat': [2, 1, 1]}]
    large = first | {'name': 'large', 'geometry': first['geometry'] | {'transforms': transforms}}
    found = issues(labelling=labelling, systems=[first, large])
    assert 'in cells of 4, 8 atoms do not compare' in found['labelling.calculator']
