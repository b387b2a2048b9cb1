"""The smaller examples, as they are: an alloy with swaps, an adsorbate on a slab, clusters of water; all with ACE."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(1200)]

EXAMPLES = Path(__file__).parents[2] / 'examples'


@pytest.fixture(scope='module')
def site(make_site):
    return make_site('examples')


@pytest.mark.parametrize('name', ['cuau_swaps', 'oxygen_on_copper', 'water_cluster'])
def test_example_learns(site, name):
    site.traincraft('run', str(EXAMPLES / f'{name}.toml'), timeout=900)
    summary = site.summary(name)
    errors = [cycle['force_rmse'] for cycle in summary['cycles']]
    assert errors[-1] < errors[0] or summary['stop']['reason'] == 'target'
    folder = site.folder / 'runs' / name
    assert (folder / 'potential.yace').stat().st_size > 0
