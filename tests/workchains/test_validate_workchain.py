"""The validation WorkChain with a validator of a user's own file, a real ACE potential and EMT as the reference."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiida import orm
from ase.build import bulk
from ase.calculators.emt import EMT

from aiida_traincraft.data.validation import ValidationData
from aiida_traincraft.science import registry

CELL = {'builder': {'type': 'crystal', 'name': 'Cu', 'a': 3.6, 'cubic': True}}


@pytest.fixture(scope='module')
def plugin(aiida_profile):
    path = Path(__file__).with_name('stretched_validator.py')
    registry.load_plugins([path])
    return orm.SinglefileData(path)


@pytest.fixture(scope='module')
def content(make_campaign_content):
    content = make_campaign_content()
    content['validation'] = {
        'validators': [
            {'type': 'stretched', 'geometry': CELL, 'reference': True, 'at_most': {'cost_error': 0.02, 'cost': 1e-6}},
            {'type': 'stretched', 'name': 'further', 'geometry': CELL, 'factor': 1.03, 'at_least': {'cost': 0.0}},
            {'type': 'stretched', 'name': 'exploding', 'geometry': CELL, 'explodes': True},
        ]
    }
    return content


@pytest.fixture(scope='module')
def validate(run_workchain, content, active_set, copper_dataset, plugin):
    """Function that runs the validators; keywords are further inputs."""

    def run(**inputs):
        potential, plugins = active_set.outputs.potential, {'plugin_0': plugin}
        inputs |= {'potential': potential, 'test_set': copper_dataset, 'plugins': plugins}
        node = run_workchain('traincraft.validate', content, **inputs)
        assert node.is_finished_ok, node.exit_message
        return node

    return run


@pytest.fixture(scope='module')
def validated(validate):
    return validate()


@pytest.mark.slow
def test_killed_jobs_change_no_number(validate, validated, dying):
    code, killed = dying()
    node = validate(codes={'ase': code, 'pace': code})
    assert killed() == ['label', 'validate']
    assert len([job for job in node.called_descendants if job.exit_status == 300]) == 2
    found, expected = (
        {name: item.values for name, item in each.outputs.validators.items()} for each in (node, validated)
    )
    assert found == expected


def test_numbers_stand_beside_those_of_the_reference(validated):
    found = validated.outputs.validators.stretched
    values = found.values
    assert values['cost_error'] == pytest.approx(values['cost'] - values['cost_reference'])
    assert abs(values['cost_error']) < 0.02
    cells = [bulk('Cu', a=3.6 * factor, cubic=True) for factor in (1.0, 1.02)]
    energies = [EMT().get_potential_energy(cell) / 4 for cell in cells]
    assert values['cost_reference'] == pytest.approx(energies[1] - energies[0])
    assert found.units == {'cost': 'eV/atom', 'lowest': 'eV/atom'}
    assert found.curves['stretch']['factor'] == found.curves['stretch_reference']['factor'] == [1.0, 1.02]
    assert validated.outputs.ledger.counts['labelled'] == 2


def test_limits_are_told_one_by_one(validated):
    found = validated.outputs.validators.stretched
    assert found.passed is False
    assert [(check.quantity, check.passed) for check in found.checks] == [('cost_error', True), ('cost', False)]
    assert 'cost is' in str(found)
    assert 'limit 1e-06' in str(found)
    assert validated.outputs.validators.further.passed is True


def test_what_breaks_is_a_result(validated):
    found = validated.outputs.validators.exploding
    assert found.broken == 'the cell exploded'
    assert found.passed is False
    assert found.values == {}


def test_nodes_are_found_by_their_numbers(validated):
    query = orm.QueryBuilder().append(
        ValidationData,
        filters={'attributes.type': 'stretched', 'attributes.values.cost': {'>': 0.0}, 'attributes.passed': True},
        project='uuid',
    )
    assert validated.outputs.validators.further.uuid in query.all(flat=True)
    assert validated.outputs.validators.stretched.uuid not in query.all(flat=True)


def test_a_labeller_that_fails_is_told(run_workchain, make_campaign_content, active_set, plugin):
    content = make_campaign_content()
    content['labelling']['min_distance'] = 2.0
    content['validation'] = {'validators': [{'type': 'stretched', 'geometry': CELL, 'reference': True}]}
    node = run_workchain(
        'traincraft.validate', content, potential=active_set.outputs.potential, plugins={'plugin_0': plugin}
    )
    assert node.exit_status == 401
    assert 'atoms overlap' in node.exit_message


@pytest.fixture(scope='module')
def physics(run_workchain, make_campaign_content, active_set, copper_dataset):
    content = make_campaign_content()
    content['validation'] = {
        'validators': [
            {'type': 'parity'},
            {'type': 'eos', 'geometry': CELL, 'reference': True, 'at_most': {'lattice_error': 0.05}},
            {'type': 'elastic', 'geometry': CELL},
        ]
    }
    potential = active_set.outputs.potential
    node = run_workchain('traincraft.validate', content, potential=potential, test_set=copper_dataset)
    assert node.is_finished_ok, node.exit_message
    return node.outputs.validators


def test_parity_is_the_score_of_the_test_set(physics, run_job, active_set, copper_dataset):
    values = physics.parity.values
    scored = run_job('traincraft.evaluate', {}, potential=active_set.outputs.potential, dataset=copper_dataset)
    overall = scored.outputs.errors['overall']
    for name in ('energy', 'forces', 'stress'):
        for figure in ('rmse', 'mae', 'max'):
            assert values[f'{name}_{figure}'] == pytest.approx(overall[name][figure])


def test_the_reference_answers_as_emt_does(physics):
    eos = physics.eos
    assert eos.broken is None
    assert eos.values['lattice_reference'] == pytest.approx(3.590, abs=0.003)
    assert eos.values['bulk_modulus_reference'] == pytest.approx(134.4, rel=0.02)
    assert eos.passed, str(eos)
    elastic = physics.elastic
    assert elastic.broken is None
    assert elastic.values['born_eigenvalue'] > 0
