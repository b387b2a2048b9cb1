"""Validator ``md_stability``."""

import tomllib

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.science.geometry import build_geometries
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import Subject, check, examine, make_validator
from aiida_traincraft.science.validation.md_stability import MdStabilityConfig, shortest_distance

GEOMETRY = {'builder': {'type': 'crystal', 'name': 'Cu'}}
SHORT = {'temperature': 300.0, 'runs': 2, 'length': 0.4, 'equilibration': 0.4, 'nve_length': 0.4, 'timestep': 4.0}


def configure(**keys):
    return MdStabilityConfig(geometry=GEOMETRY, **SHORT | keys)


class Stiff(EMT):
    """Forces so large that velocity Verlet with 10 fs is not stable."""

    def calculate(self, *arguments, **keys):
        super().calculate(*arguments, **keys)
        self.results['forces'] = 40 * self.results['forces']


@pytest.fixture
def copper():
    return Structure(bulk('Cu', cubic=True).repeat(2))


def test_copper_is_stable(copper):
    before = copper.atoms.positions.copy()
    findings, frames = examine(configure(), Subject(EMT(), copper, report=lambda line: None))
    assert findings.broken is None
    assert frames == []
    assert findings.notes == []
    assert findings.values['survival'] == 1.0
    assert abs(findings.values['energy_drift']) < 5
    assert 1.9 < findings.values['minimum_distance'] < 2.5
    assert abs(findings.values['temperature_deviation']) < 60
    assert set(findings.curves) == {'run_1', 'run_2'}
    curve = findings.curves['run_1']
    assert curve['ensemble'] == ['NVT'] * 100 + ['NVE'] * 101
    assert np.diff(curve['time (ps)']) == pytest.approx([0.004] * 99 + [0] + [0.004] * 100)
    free = np.array(curve['total energy (eV/atom)'])[100:]
    assert np.ptp(free) < 0.002
    assert np.array_equal(copper.atoms.positions, before)


def test_the_same_seed_gives_the_same_numbers(copper):
    found = [
        examine(configure(length=0.1, equilibration=0.0, nve_length=0.1), Subject(EMT(), copper, rng=rng))[0].values
        for rng in (np.random.default_rng(seed) for seed in (1, 1, 2))
    ]
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_dynamics_without_an_energy_drift(copper):
    class Pushing(EMT):
        """Forces that are not those of the energy."""

        def calculate(self, atoms=None, *arguments, **keys):
            super().calculate(atoms, *arguments, **keys)
            self.results['forces'] = self.results['forces'] + 0.1 * atoms.get_velocities()

    findings, _ = examine(configure(), Subject(Pushing(), copper))
    assert findings.values['survival'] == 1.0
    assert findings.values['energy_drift'] > 1


def test_an_explosion_is_a_result(copper):
    findings, _ = examine(configure(timestep=10.0, runs=1), Subject(Stiff(), copper))
    assert findings.broken is None
    assert findings.values['survival'] == 0.0
    assert findings.values['energy_drift'] is None
    [note] = findings.notes
    assert note.startswith('run 1 of 1: NVT broken: ')
    assert 'at step ' in note


def test_an_explosion_at_constant_energy_is_a_result(copper):
    class Ageing(EMT):
        """Attraction that sets in once the thermostat is gone."""

        calls = 0

        def calculate(self, atoms=None, *arguments, **keys):
            super().calculate(atoms, *arguments, **keys)
            self.calls += 1
            if self.calls > 260:
                self.results['forces'] = 30.0 * self.results['forces']

    findings, _ = examine(configure(runs=1), Subject(Ageing(), copper))
    assert findings.values['survival'] == 0.0
    assert findings.values['energy_drift'] is None
    assert findings.values['temperature_deviation'] is not None
    assert findings.notes[0].startswith('run 1 of 1: NVE broken: the temperature is ')
    assert 'NVE' in findings.curves['run_1']['ensemble']


def test_a_potential_that_fails_at_once(copper):
    copper.atoms.symbols[0] = 'U'
    findings, _ = examine(configure(), Subject(EMT(), copper))
    assert findings.values == {
        'survival': 0.0,
        'energy_drift': None,
        'minimum_distance': None,
        'temperature_deviation': None,
    }
    assert 'NotImplementedError' in findings.notes[0]
    assert findings.curves == {}


def test_shortest_distance():
    assert shortest_distance(bulk('Cu', a=3.6)) == pytest.approx(3.6 / np.sqrt(2))
    assert shortest_distance(Atoms('H2', [[0, 0, 0], [0, 0, 40]])) == pytest.approx(40)


def test_a_single_atom_is_refused():
    with pytest.raises(ValueError, match='"geometry" has 1 atom; validator "md_stability" takes 2 or more'):
        make_validator(configure()).check_start(Structure(bulk('Cu')))


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'reference': True}, r'validator\.reference: '),
        ({'temperature': 0.0}, r'validator\.temperature: .*greater than 0'),
        ({'at_most': {'energy_drift_error': 1.0}}, r"energy_drift_error, which 'md_stability' does not give"),
        ({'geometry': None}, r'give exactly one of "system" and "geometry"'),
    ],
)
def test_bad_values_are_refused(keys, message):
    with pytest.raises(ConfigError, match=message):
        parse_plugin('validator', {'type': 'md_stability', 'geometry': GEOMETRY} | SHORT | keys)


def test_example():
    config = parse_plugin('validator', tomllib.loads(registry.get('validator', 'md_stability').example)['validator'])
    [start] = build_geometries(config.geometry, None, 0)
    make_validator(config).check_start(start)
    lines = []
    findings, _ = examine(config, Subject(EMT(), start, report=lines.append))
    assert set(findings.values) <= set(config.quantities)
    assert all(item.passed for item in check(config, findings))
    assert lines == ['md_stability: run 1 of 2: finished', 'md_stability: run 2 of 2: finished']
