"""The example of spectra, one cycle of it: MACE models of energy and dielectric response against their teacher."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from aiida_traincraft.science.validation.spectra import find_bands

pytestmark = [pytest.mark.campaign, pytest.mark.long]

EXAMPLE = Path(__file__).parents[2] / 'examples' / 'water_spectra.toml'

FOUND = """
import json
from aiida_traincraft.provenance.queries import load_campaign_node
campaign = load_campaign_node('water_spectra')
nodes = campaign.outputs.validation
print(json.dumps({
    'passed': {name: nodes[name].passed for name in nodes},
    'values': {name: nodes[name].values for name in nodes},
    'infrared': nodes.infrared.curves,
    'dielectric': sorted(campaign.outputs.dielectric.properties),
}))
"""


@pytest.fixture(scope='module')
def found(make_site, mace_python):
    site = make_site('water')
    site.traincraft('setup', '--python', str(mace_python))
    content = tomllib.loads(EXAMPLE.read_text())
    content['loop'] |= {'max_cycles': 1, 'min_cycles': 1}
    content['training'] |= {'committee': 1, 'max_num_epochs': 150}
    content['validation']['dielectric']['max_num_epochs'] = 100
    validators = {table['type']: table for table in content['validation']['validators']}
    validators['infrared'] |= {'runs': 1, 'length': 2.0, 'equilibration': 0.5}
    validators['raman']['runs'] = 0
    del validators['raman']['at_most']['peak_difference']
    (site.folder / EXAMPLE.name).write_text(tomli_w.dumps(content))
    site.traincraft('run', EXAMPLE.name, '--stop-daemon')
    return site.python(FOUND) | {'page': (site.folder / 'runs' / 'water_spectra' / 'report.html').read_text()}


def test_models_reproduce_the_spectra_of_their_teacher(found):
    assert found['passed'] == {'parity': None, 'infrared': True, 'raman': True}
    infrared, raman = found['values']['infrared'], found['values']['raman']
    assert infrared['peak_error'] < 20
    assert infrared['intensity_error'] < 0.2
    assert raman['peak_error'] < 20
    assert abs(raman['strongest_depolarisation_error']) < 0.05
    assert found['dielectric'] == ['dipole', 'polarizability']


def test_peaks_of_the_dynamics_are_those_of_the_teacher(found):
    curves = found['infrared']
    bands = find_bands(*(np.array(column) for column in curves['spectrum'].values()))
    expected = np.array(curves['harmonic_reference']['wavenumber (cm⁻¹)'])
    assert abs(expected[:, None] - bands).min(axis=1).max() < 20


def test_the_report_draws_both(found):
    for name in ('infrared', 'raman'):
        assert f'id="figure-{name}' in found['page']
