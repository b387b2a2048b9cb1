"""A campaign whose teacher cannot give what it is asked for is refused before it starts."""

import pytest

from aiida_traincraft.science.campaign.checks import CHECKS
from aiida_traincraft.science.campaign.preflight import Preflight, examine
from aiida_traincraft.science.config.loader import parse_campaign


@pytest.fixture
def issues(campaign_content, tmp_path):
    def check(**sections):
        preflight = Preflight(parse_campaign(campaign_content | sections), tmp_path)
        return {issue.path: issue.message for issue in examine(preflight, CHECKS)}

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


@pytest.fixture
def driven(issues, campaign_content):
    """Function that finds what is wrong with a sampler, given the properties of the teacher."""

    def check(sampling, gives):
        calculator = {'type': 'custom', 'factory': 'ase.calculators.emt:EMT', 'gives': gives}
        first = campaign_content['systems'][0]
        return issues(
            labelling={'type': 'ase', 'calculator': calculator},
            systems=[first, first | {'name': 'b', 'sampling': sampling}],
        )

    return check


@pytest.mark.parametrize(
    ('sampling', 'key', 'value'),
    [
        ({'type': 'md', 'temperature': 300.0, 'ensemble': 'npt', 'pressure': 1.0}, 'ensemble', '"npt"'),
        ({'type': 'relax', 'cell': True}, 'cell', 'true'),
    ],
)
def test_a_cell_that_moves_needs_the_stress(driven, sampling, key, value):
    assert driven(sampling, ['energy', 'forces']) == {
        f'systems[1].sampling.{key}': (
            f'"{key}" = {value} needs the stress: calculator \'custom\' gives no stress; it gives energy, forces'
        )
    }
    assert driven(sampling, ['energy', 'forces', 'stress']) == {}
    # Nobody knows what it gives.
    assert driven(sampling, None) == {}
    fixed = {'type': sampling['type']} | ({'temperature': 300.0} if key == 'ensemble' else {})
    assert driven(fixed, ['energy', 'forces']) == {}


def test_elements_of_a_reservoir_count(issues, campaign_content):
    first = campaign_content['systems'][0]
    sampling = {
        'type': 'monte_carlo',
        'temperature': 300.0,
        'moves': {'exchange': 1.0},
        'reservoir': {'name': 'CO', 'fugacity': 1.0, 'max_molecules': 2},
    }
    filled = first | {'name': 'filled', 'sampling': sampling}
    assert issues(systems=[first, filled]) == {}
    sampling['reservoir']['name'] = 'LiF'
    found = issues(systems=[first, filled])
    assert 'does not know F, Li' in found['labelling.calculator']
