"""Validator ``parity``."""

import tomllib

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from springs import Springs

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.science.scoring.evaluation import evaluate
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import Subject, check, compute, examine
from aiida_traincraft.science.validation.parity import ParityConfig


class Wrong(EMT):
    """Energies 8 meV too high, forces a tenth too large."""

    def calculate(self, *arguments, **keys):
        super().calculate(*arguments, **keys)
        self.results['energy'] += 0.008
        self.results['forces'] = 1.1 * self.results['forces']


@pytest.fixture(scope='module')
def labelled():
    frames = []
    for number in range(6):
        atoms = bulk('Cu', cubic=True)
        atoms.symbols[0] = 'Au'
        atoms.rattle(0.02 * (number + 1), seed=number)
        frame = compute(Structure(atoms), EMT())
        frame.provenance |= {'system': 'hot' if number >= 4 else 'cold', 'temperature': 100.0 * number}
        frames.append(frame)
    return frames


def test_the_potential_itself_has_no_errors(labelled):
    findings, frames = examine(ParityConfig(), Subject(EMT(), labelled=labelled))
    assert findings.broken is None
    assert frames == []
    assert set(findings.values) == {
        f'{name}_{key}' for name in ('energy', 'forces', 'stress') for key in ('rmse', 'mae', 'max', 'r2')
    }
    for name, value in findings.values.items():
        assert value == pytest.approx(1.0 if name.endswith('r2') else 0.0, abs=1e-9)


def test_known_errors_are_found(labelled):
    config = ParityConfig(at_most={'energy_rmse': 0.001, 'energy_mae': 0.003}, at_least={'forces_r2': 0.98})
    findings, _ = examine(config, Subject(Wrong(), labelled=labelled))
    values, forces = findings.values, np.array([frame.properties['forces'] for frame in labelled])
    assert values['energy_rmse'] == pytest.approx(0.002)
    assert values['energy_max'] == pytest.approx(0.002)
    assert values['forces_rmse'] == pytest.approx(0.1 * np.sqrt((forces**2).mean()))
    assert values['forces_mae'] == pytest.approx(0.1 * np.abs(forces).mean())
    assert values['forces_max'] == pytest.approx(0.1 * np.abs(forces).max())
    # All forces of a frame add up to zero: their spread is their size.
    assert values['forces_r2'] == pytest.approx(0.99)
    assert [(item.quantity, item.passed) for item in check(config, findings)] == [
        ('energy_rmse', False),
        ('energy_mae', True),
        ('forces_r2', True),
    ]


def test_groups_and_points(labelled):
    config = ParityConfig(temperature_windows=[(0.0, 200.0), (200.0, 250.0), (900.0, 950.0)], points=10)
    findings, _ = examine(config, Subject(Wrong(), labelled=labelled))
    curves = findings.curves
    expected, _ = evaluate(labelled, Wrong())
    assert curves['forces_per_element']['element'] == ['Au', 'Cu']
    assert curves['forces_per_element']['numbers compared'] == [18, 54]
    assert curves['forces_per_element']['rmse (eV/Å)'] == pytest.approx(
        [expected['per_element'][element]['rmse'] for element in ('Au', 'Cu')]
    )
    assert curves['energy_per_system']['system'] == ['cold', 'hot']
    assert curves['energy_per_system']['mae (eV/atom)'] == pytest.approx([0.002, 0.002])
    assert curves['forces_per_temperature']['temperature (K)'] == ['0 to 200', '200 to 250']
    assert curves['forces_per_temperature']['numbers compared'] == [24, 12]
    assert 'dipole' not in curves
    assert len(curves['energy']['label (eV/atom)']) == 6
    assert len(curves['forces']['label (eV/Å)']) == 10
    assert curves['forces']['prediction (eV/Å)'] == pytest.approx(1.1 * np.array(curves['forces']['label (eV/Å)']))
    for curve in curves.values():
        assert len({len(column) for column in curve.values()}) == 1


def test_dipoles_are_those_of_their_own_model():
    springs = {'lengths': {(0, 1): 0.9}, 'charges': [0.3, -0.3]}
    frames = []
    for distance in (0.8, 0.9, 1.0):
        atoms = bulk('Cu').repeat((2, 1, 1))
        atoms.pbc, atoms.cell, atoms.positions = False, None, [[0, 0, 0], [0, 0, distance]]
        frames.append(compute(Structure(atoms), Springs(**springs)))
    subject = Subject(Springs(**springs, scale=3.0), labelled=frames, dielectric=Springs(**springs, scale=1.1))
    findings, _ = examine(ParityConfig(), subject)
    assert findings.broken is None
    assert findings.values['energy_rmse'] == pytest.approx(0)
    assert findings.values['dipole_max'] == pytest.approx(0.03)
    assert findings.values['polarizability_rmse'] > 0


def test_a_model_of_dipoles_without_labels_is_not_asked(labelled):
    findings, _ = examine(ParityConfig(), Subject(EMT(), labelled=labelled, dielectric=Springs({}, [])))
    assert findings.broken is None
    assert findings.values['forces_rmse'] == pytest.approx(0)
    assert 'dipole_rmse' not in findings.values


def test_what_the_potential_fails_at_leaves_the_rest(labelled):
    strange = labelled[0].copy()
    strange.atoms.symbols[0] = 'U'
    findings, _ = examine(ParityConfig(), Subject(EMT(), labelled=[strange, *labelled]))
    assert findings.broken.startswith('1 of 7 structures failed, the first with: NotImplementedError: ')
    assert findings.values['forces_rmse'] == pytest.approx(0)
    findings, _ = examine(ParityConfig(), Subject(EMT(), labelled=[strange]))
    assert findings.broken.startswith('1 of 1 structures failed')
    assert findings.values == {}
    assert findings.curves == {}


def test_nothing_is_labelled():
    findings, _ = examine(ParityConfig(), Subject(EMT()))
    assert findings.broken == 'there are no labelled structures'


def test_one_structure_has_no_r2(labelled):
    findings, _ = examine(ParityConfig(), Subject(EMT(), labelled=labelled[:1]))
    assert findings.values['energy_r2'] is None
    assert findings.values['forces_r2'] == pytest.approx(1)


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'temperature_windows': [[300.0, 200.0]]}, r'temperature_windows: .*\[300.0, 200.0\] is no window'),
        ({'points': 0}, r'validator\.points: .*greater than or equal to 1'),
        ({'at_most': {'energy_error': 1.0}}, r"energy_error, which 'parity' does not give"),
    ],
)
def test_bad_values_are_refused(keys, message):
    with pytest.raises(ConfigError, match=message):
        parse_plugin('validator', {'type': 'parity'} | keys)


def test_example(labelled):
    config = parse_plugin('validator', tomllib.loads(registry.get('validator', 'parity').example)['validator'])
    assert config.needs_labels
    findings, _ = examine(config, Subject(EMT(), labelled=labelled))
    assert set(findings.values) <= set(config.quantities)
    assert all(item.passed for item in check(config, findings))
