"""Two cycles of the smaller examples: an alloy with swaps, an adsorbate on a slab, clusters of water; all with ACE."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = [pytest.mark.campaign, pytest.mark.long]

EXAMPLES = Path(__file__).parents[2] / 'examples'


@pytest.fixture(scope='module')
def site(make_site):
    return make_site('examples')


@pytest.mark.parametrize(
    ('name', 'improves'), [('cuau_swaps', True), ('oxygen_on_copper', True), ('water_cluster', False)]
)
def test_example_runs(site, name, improves):
    path = site.folder / f'{name}.toml'
    path.write_text((EXAMPLES / path.name).read_text().replace('max_cycles = 3', 'max_cycles = 2'))
    site.traincraft('run', path.name)
    summary = site.summary(name)
    assert not summary['failed_labels']
    assert summary['cycles'][0]['selected'] > 0
    errors = [cycle['errors']['forces']['rmse'] for cycle in summary['cycles']]
    assert len(errors) > 1
    # Two cycles on tens of molecules tell little of water; metals are better there.
    assert not improves or errors[-1] < errors[0]
    assert (site.folder / 'runs' / name / 'potential.yace').stat().st_size > 0
