"""What a campaign does with limits that its potential does not keep."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from click.testing import CliRunner

from aiida_traincraft.cli import main
from aiida_traincraft.launch.campaign_builder import builder_from_config
from aiida_traincraft.provenance.campaign import summarise
from aiida_traincraft.science.config.loader import parse_campaign
from aiida_traincraft.science.errors import ConfigError

HERE = Path(__file__).parent


@pytest.fixture
def content(make_campaign_content, python_code, monkeypatch):
    monkeypatch.chdir(HERE)
    content = make_campaign_content()
    content['run'] |= {'name': 'judged', 'plugins': ['stretched_validator.py']}
    # Reached by the first potential.
    content['loop'] = {'max_cycles': 2, 'target_force_rmse': 10.0}
    return content


@pytest.fixture
def run(tiny_campaign):
    """Function that runs a campaign; samples and fits of the tiny campaign come from AiiDA's cache."""

    def run(content):
        with enable_caching(identifier='aiida.calculations:traincraft.*'):
            _, node = run_get_node(builder_from_config(parse_campaign(content, HERE)))
        return node

    return run


@pytest.mark.slow
def test_the_loop_goes_on_until_limits_are_kept_or_nothing_is_left(content, run):
    validator = {'type': 'stretched', 'system': content['systems'][0]['name'], 'at_most': {'cost': 1e-9}}
    content['validation'] = {'on_failure': 'continue', 'validators': [validator]}
    node = run(content)
    assert node.exit_status == 408
    assert 'does not keep its limits: validation stretched: failed (cost is' in node.exit_message
    labels = [link.link_label for link in node.base.links.get_outgoing().all()]
    # The target alone would have stopped it after the first cycle.
    assert [label for label in labels if label.startswith('validate_')] == ['validate_001', 'validate_002']
    summary = summarise(node)
    (row,) = summary['validation']
    assert (row['validator'], row['passed']) == ('stretched', False)
    assert row['uuid'] == node.outputs.validation.stretched.uuid
    assert 'potential' in node.outputs
    # What explorations find is held against the test set.
    (first, *explorations) = [child for child in node.called_descendants if 'sealed' in child.inputs]
    assert explorations
    assert {child.inputs.sealed.uuid for child in explorations} == {first.inputs.sealed.uuid}
    selections = [child for child in explorations if child.process_label == 'select_structures']
    assert all(child.outputs.report['stages'][-1]['stage'] == 'sealed' for child in selections)


@pytest.mark.slow
def test_kept_limits_end_the_loop(content, run):
    validator = {'type': 'stretched', 'system': content['systems'][0]['name'], 'at_most': {'cost': 1.0}}
    content['validation'] = {'on_success': 'stop', 'every': 1, 'validators': [validator]}
    del content['loop']['target_force_rmse']
    node = run(content)
    assert node.is_finished_ok, node.exit_message
    labels = [link.link_label for link in node.base.links.get_outgoing().all()]
    assert 'validate_001' in labels
    # Nothing is explored that no potential will be trained on.
    assert not [label for label in labels if label.startswith('explore_')]
    assert summarise(node)['stop_reason'] == 'the potential keeps every limit of its validation'


@pytest.mark.parametrize(('table', 'told'), [({}, 'needs "every"'), ({'every': 1}, 'no validator has a limit')])
def test_what_never_stops_is_refused(content, table, told):
    validator = {'type': 'stretched', 'system': content['systems'][0]['name']}
    content['validation'] = {'on_success': 'stop', 'validators': [validator]} | table
    with pytest.raises(ConfigError, match=told):
        parse_campaign(content, HERE)


@pytest.mark.parametrize(
    ('table', 'told'),
    [
        ({'system': 'nowhere'}, 'there is no system .nowhere.'),
        ({'geometry': {'builder': {'type': 'molecule', 'name': 'H2O'}}}, 'no cell to stretch'),
        ({'geometry': {'builder': {'type': 'crystal', 'name': 'Al'}}}, 'does not know Al'),
        ({'geometry': {'builder': {'type': 'crystal', 'name': 'Cu'}}, 'at_most': {'weight': 1}}, 'names weight'),
        (
            {'geometry': {'builder': {'type': 'crystal', 'name': 'Cu'}}, 'at_most': {'cost_error': 1}},
            'reference = true',
        ),
        ({}, 'exactly one of "system" and "geometry"'),
    ],
)
def test_what_no_validator_can_use_is_refused_before_anything_is_stored(content, table, told):
    content['validation'] = {'validators': [{'type': 'stretched'} | table]}
    with pytest.raises(ConfigError, match=told) as caught:
        builder_from_config(parse_campaign(content, HERE))
    assert 'validation.validators' in str(caught.value)


WATER = {'builder': {'type': 'molecule', 'name': 'H2O'}}
COPPER = {'builder': {'type': 'crystal', 'name': 'Cu', 'cubic': True}}
SPECTRUM = {'type': 'infrared', 'geometry': WATER}
XTB = {'type': 'ase', 'calculator': {'type': 'tblite', 'polarizability': True}}
BARE = {'type': 'ase', 'calculator': {'type': 'custom', 'factory': 'a:B', 'gives': ['energy', 'forces']}}
DIELECTRIC = {'type': 'mace', 'model': 'AtomicDielectricMACE', 'max_L': 2}
DFT = {'type': 'quantumespresso', 'pseudo_family': 'none'}


def parity(**limits):
    return {'type': 'parity', 'at_most': limits}


@pytest.mark.parametrize(
    ('validator', 'sections', 'told'),
    [
        # The potential gives no dipole, no polarizability, no stress.
        (SPECTRUM, {}, "[0].type: 'infrared' needs dipole, and the potential gives only energy, forces, stress"),
        (
            SPECTRUM | {'type': 'raman'},
            {'training': {'type': 'mace'}},
            "[0].type: 'raman' needs polarizability, and the potential gives only energy, forces, stress; in "
            '[validation.dielectric], models of MACE give it: AtomicDielectricMACE',
        ),
        (
            SPECTRUM | {'type': 'raman'},
            {'labelling': XTB, 'dielectric': {'type': 'mace', 'model': 'AtomicDipolesMACE'}},
            "[0].type: 'raman' needs polarizability, and the potential gives only dipole, energy",
        ),
        (
            {'type': 'elastic', 'geometry': COPPER},
            {'training': {'type': 'mace', 'model': 'AtomicDipolesMACE'}},
            "[0].type: 'elastic' needs energy, forces, stress, and the potential gives only dipole",
        ),
        (
            parity(dipole_rmse=0.1),
            {'labelling': XTB},
            "[0].at_most.dipole_rmse: 'dipole_rmse' needs dipole, and the potential gives only energy, forces, stress",
        ),
        # The labels have none.
        (
            parity(energy_rmse=0.1, stress_rmse=0.1),
            {'labelling': BARE},
            "[0].at_most.stress_rmse: the labels of the test set have no stress: calculator 'custom' gives no stress",
        ),
        (
            parity(stress_mae=0.1),
            {'labelling': XTB, 'molecules': True},
            'stress_mae: the labels of the test set have no stress: no structure of the test set is periodic',
        ),
        (
            parity(dipole_max=0.1),
            {'labelling': XTB, 'dielectric': {'type': 'mace', 'model': 'AtomicDipolesMACE'}},
            "[0].at_most.dipole_max: the labels of the test set have no dipole: calculator 'tblite' gives no dipole of "
            'periodic structures',
        ),
        # The model of dipoles has nothing to learn from, or is none.
        (
            SPECTRUM,
            {'dielectric': {'type': 'mace', 'model': 'AtomicDipolesMACE'}},
            "validation.dielectric.model: it is trained on dipole: calculator 'emt' gives no dipole",
        ),
        (
            SPECTRUM,
            {'dielectric': DIELECTRIC, 'labelling': DFT},
            "model: it is trained on dipole, polarizability: the labelling 'quantumespresso' gives no dipole, polar",
        ),
        (SPECTRUM, {'dielectric': {'type': 'pace_linear'}}, 'validation.dielectric: it gives no dipoles: use type = '),
        # The reference cannot do what is asked of it.
        (SPECTRUM | {'reference': True}, {}, "[0].reference: calculator 'emt' gives no dipole"),
        (
            SPECTRUM | {'reference': True},
            {'labelling': DFT},
            "[0].reference: the labelling 'quantumespresso' gives no dipole; it gives energy, forces, stress",
        ),
        (
            SPECTRUM | {'geometry': COPPER, 'reference': True},
            {'labelling': XTB},
            '[0]: "reference": calculator \'tblite\' gives no dipole of periodic structures',
        ),
        (
            {'type': 'elastic', 'geometry': COPPER, 'at_most': {'bulk_modulus_error': 5.0}},
            {},
            'validators[0]: bulk_modulus_error: a limit of a difference needs reference = true',
        ),
        # There is no such thing.
        ({'type': 'dimer', 'geometry': WATER}, {}, '[0]: "geometry": the potential does not know H, O; it knows Cu'),
        (
            {'type': 'dimer', 'geometry': {'builder': {'type': 'crystal', 'name': 'Xq'}}},
            {},
            'validators[0]',
        ),
        (
            {'type': 'vacancy', 'geometry': COPPER, 'element': 'Ni'},
            {},
            '[0]: "element": there is no Ni in Cu4',
        ),
        (
            {'type': 'rdf', 'temperature': 300.0, 'frames_of': 'bulk'},
            {},
            "[0].frames_of: the test set has no system 'bulk'; it has hot",
        ),
    ],
)
def test_what_cannot_be_served_is_refused_by_the_file_alone(
    campaign_content, campaign_file, python_code, validator, sections, told
):
    content = campaign_content
    content['validation'] = {'validators': [validator]}
    if 'dielectric' in sections:
        content['validation']['dielectric'] = sections['dielectric']
    if 'molecules' in sections:
        for system in (*content['systems'], *content['test_set']['systems']):
            system |= {'geometry': WATER, 'sampling': {'type': 'rattle', 'n': 2, 'stdev': 0.05}}
    content |= {key: table for key, table in sections.items() if key in ('labelling', 'training')}
    path = campaign_file(content)
    result = CliRunner(env={'COLUMNS': '200'}).invoke(main, ['validate', str(path)])
    assert result.exit_code == 1, result.output
    assert told in result.output
    before = orm.QueryBuilder().append(orm.Node).count()
    with pytest.raises(ConfigError) as caught:
        builder_from_config(path)
    assert told in str(caught.value)
    assert orm.QueryBuilder().append(orm.Node).count() == before


def test_spectra_that_can_be_served_are_not_refused(campaign_content, campaign_file):
    for system in (*campaign_content['systems'], *campaign_content['test_set']['systems']):
        system |= {'geometry': WATER, 'sampling': {'type': 'rattle', 'n': 2, 'stdev': 0.05}}
    campaign_content['labelling'] = XTB
    campaign_content['validation'] = {
        'dielectric': DIELECTRIC,
        'validators': [
            SPECTRUM | {'reference': True},
            SPECTRUM | {'type': 'raman', 'reference': True, 'at_most': {'peak_error': 20.0}},
            parity(dipole_rmse=0.1, polarizability_rmse=0.1, forces_rmse=0.1),
        ],
    }
    result = CliRunner().invoke(main, ['validate', '--without-profile', str(campaign_file(campaign_content))])
    assert result.exit_code == 0, result.output


def test_systems_of_a_profile_are_checked_at_launch_and_the_rest_at_once(campaign_content, campaign_file):
    source = {'type': 'aiida', 'group': 'starting structures'}
    campaign_content['systems'][0]['geometry'] = {'source': source}
    validators = [{'type': 'vacancy', 'system': 'bulk'}, SPECTRUM | {'reference': True}]
    campaign_content['validation'] = {'validators': validators}
    result = CliRunner(env={'COLUMNS': '200'}).invoke(
        main, ['validate', '--without-profile', str(campaign_file(campaign_content))]
    )
    assert result.exit_code == 1
    assert 'validators[0]' not in result.output
    assert 'validation.validators[1].type' in result.output
    assert 'validation.validators[1].reference' in result.output
