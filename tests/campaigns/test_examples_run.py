"""Two cycles of the smaller examples: an alloy with swaps, an adsorbate on a slab, clusters of water; all with ACE."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(1200)]

EXAMPLES = Path(__file__).parents[2] / 'examples'


THRESHOLDS = """
import json
from aiida_traincraft.provenance.campaign import children
from aiida_traincraft.provenance.queries import load_campaign_node
steps = children(load_campaign_node('cuau_swaps'))
explored = steps['explore_001']
print(json.dumps({
    'calibrated_on': explored.inputs.calibration.uuid == steps['calibrate_001'].outputs.result.uuid,
    'found': explored.inputs.calibration.thresholds,
    'used': [
        [job.inputs.parameters['watch'][key] for key in ('lo', 'hi')]
        for job in explored.called_descendants if job.process_label == 'SampleCalculation'
    ],
}))
"""


@pytest.fixture(scope='module')
def site(make_site):
    return make_site('examples')


@pytest.mark.parametrize(
    ('name', 'improves'), [('cuau_swaps', True), ('oxygen_on_copper', True), ('water_cluster', False)]
)
def test_example_runs(site, name, improves):
    path = site.folder / f'{name}.toml'
    path.write_text((EXAMPLES / path.name).read_text().replace('max_cycles = 3', 'max_cycles = 2'))
    site.traincraft('run', path.name, timeout=900)
    summary = site.summary(name)
    assert not summary['failed_labels']
    assert summary['cycles'][0]['selected'] > 0
    errors = [cycle['errors']['forces']['rmse'] for cycle in summary['cycles']]
    assert len(errors) > 1
    # Two cycles on tens of molecules tell little of water; metals are better there.
    assert not improves or errors[-1] < errors[0]
    assert (site.folder / 'runs' / name / 'potential.yace').stat().st_size > 0


def test_thresholds_follow_from_the_accepted_error(site):
    facts = site.python(THRESHOLDS)
    assert facts['calibrated_on']
    # Those of the config where the test set allows none.
    assert facts['used'] == [facts['found'] or [1.5, 6.0]]
