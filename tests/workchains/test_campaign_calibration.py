"""Where the thresholds of an exploration come from when a campaign names an accepted force error."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_traincraft.launch.campaign_builder import builder_from_config
from aiida_traincraft.provenance.campaign import children, summarise
from aiida_traincraft.science.config.loader import parse_campaign

WINDOW = (1.2, 20.0)


@pytest.fixture
def run_campaign(make_campaign_content, python_code):
    """Function that runs a campaign, and gives its node and what it told."""

    def run():
        content = make_campaign_content()
        content['run'] |= {'name': 'calibrated', 'max_concurrent': 4}
        content['systems'][0]['sampling']['n'] = 6
        content['selection']['budget'] = 1
        content['labelling']['min_distance'] = 0.5
        content['exploration'] |= {'runs_per_system': 1, 'max_force_error': '80 meV/Å'}
        content['exploration'] |= dict(zip(('gamma_lo', 'gamma_hi'), WINDOW, strict=True))
        content['test_set']['systems'][0]['sampling'] = {'type': 'rattle', 'n': 12, 'stdev': 0.08, 'strain': 0.02}
        _, node = run_get_node(builder_from_config(parse_campaign(content)))
        return node, [log.message for log in orm.Log.collection.get_logs_for(node)]

    return run


def used(explored):
    """Thresholds that the jobs and the funnel of an exploration got."""
    inputs = [child.inputs for child in explored.called_descendants]
    jobs = [given.parameters['watch'] for given in inputs if 'starts' in given]
    funnel = [given.parameters.get_dict() for given in inputs if 'ledger' in given and 'parameters' in given]
    assert jobs
    assert funnel
    return {(given['lo'], given['hi']) for given in jobs + funnel}


@pytest.mark.slow
def test_thresholds_are_those_of_the_calibration_of_the_cycle(run_campaign):
    node, told = run_campaign()
    steps = children(node)
    found, explored = steps['calibrate_001'].outputs.result, steps['explore_001']
    assert found.thresholds is not None, found.reason
    assert explored.inputs.calibration.uuid == found.uuid
    assert used(explored) == {found.thresholds}
    assert any('candidates are above' in line and 'are missed' in line for line in told)
    # Each cycle has its own.
    first, second = (cycle['calibration'] for cycle in summarise(node)['cycles'])
    assert first['uuid'] == found.uuid != second['uuid']
    assert (first['lo'], first['hi']) == found.thresholds
    assert first['transfer'] == []
