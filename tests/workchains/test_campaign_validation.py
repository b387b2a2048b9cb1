"""What a campaign does with limits that its potential does not keep."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiida.engine import run_get_node

from aiida_traincraft.provenance.campaign import summarise
from aiida_traincraft.science.config.base import ConfigError
from aiida_traincraft.science.config.campaign import parse_campaign
from aiida_traincraft.workchains.active_learning import ActiveLearningWorkChain

HERE = Path(__file__).parent


@pytest.fixture
def content(make_campaign_content, python_code, monkeypatch):
    monkeypatch.chdir(HERE)
    content = make_campaign_content()
    content['run'] |= {'name': 'judged', 'plugins': ['stretched_validator.py']}
    # Reached by the first potential.
    content['labelling']['min_distance'] = 0.5
    content['loop'] = {'max_cycles': 2, 'target_force_rmse': 10.0}
    return content


def run(content):
    _, node = run_get_node(ActiveLearningWorkChain.get_builder_from_config(parse_campaign(content, HERE)))
    return node


@pytest.mark.slow
def test_the_loop_goes_on_until_limits_are_kept_or_nothing_is_left(content):
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


@pytest.mark.slow
def test_kept_limits_end_the_loop(content):
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
        ActiveLearningWorkChain.get_builder_from_config(parse_campaign(content, HERE))
    assert 'validation.validators' in str(caught.value)
