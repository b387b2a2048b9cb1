from __future__ import annotations

import json

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT

from aiida_traincraft.science.scoring.evaluation import evaluate
from aiida_traincraft.science.structure import Structure

NOTHING = {'rmse': None, 'mae': None, 'max': None, 'std': None, 'n': 0}


class Shifted(Calculator):
    """EMT with known errors: 0.1 eV per atom, 0.2 eV/Å on the x component of Al, 0.01 eV/Å³ in the stress."""

    implemented_properties = ['energy', 'forces', 'stress']

    def calculate(self, atoms=None, properties=None, system_changes=None):
        super().calculate(atoms)
        teacher = EMT()
        copy = self.atoms.copy()
        copy.calc = teacher
        forces = copy.get_forces()
        forces[copy.numbers == 13, 0] += 0.2
        self.results = {
            'energy': copy.get_potential_energy() + 0.1 * len(copy),
            'forces': forces,
            'stress': copy.get_stress() + 0.01,
        }
        if len(copy) == 2:
            self.results['forces'] = forces * np.nan


def labelled(atoms, system=None, stress=True):
    atoms = atoms.copy()
    atoms.calc = EMT()
    properties = {'energy': atoms.get_potential_energy(), 'forces': atoms.get_forces()}
    if stress:
        properties['stress'] = atoms.get_stress()
    return Structure(atoms.copy(), properties, {} if system is None else {'system': system})


@pytest.fixture
def outcome():
    alloy = bulk('Cu', cubic=True)
    alloy.symbols[0] = 'Al'
    alloy.rattle(0.1, seed=1)
    pair = bulk('Cu').repeat((2, 1, 1))
    frames = [labelled(alloy, 'alloy'), labelled(bulk('Cu', cubic=True), 'copper', stress=False), labelled(pair)]
    return evaluate(frames, Shifted(), report=lambda line: None)


@pytest.fixture
def result(outcome):
    return outcome[0]


def test_known_errors_are_found(result):
    for name, error, count in (('energy', 0.1, 2), ('stress', 0.01, 6)):
        found = result['overall'][name]
        assert [found[key] for key in ('rmse', 'mae', 'max')] == pytest.approx([error] * 3)
        assert found['n'] == count
    forces = result['overall']['forces']
    assert forces['n'] == 24
    assert forces['rmse'] == pytest.approx(0.2 / np.sqrt(24))
    assert forces['mae'] == pytest.approx(0.2 / 24)
    assert forces['max'] == pytest.approx(0.2)
    assert result['per_element']['Al']['rmse'] == pytest.approx(0.2 / np.sqrt(3))
    assert result['per_element']['Cu']['max'] == pytest.approx(0.0, abs=1e-12)


def test_systems_are_kept_apart(result):
    assert set(result['per_system']) == {'alloy', 'copper'}
    assert result['per_system']['copper']['stress'] == NOTHING


def test_failed_structure_is_a_row(result):
    assert [row['status'] for row in result['rows']] == ['ok', 'ok', 'failed']
    assert 'not finite' in result['rows'][2]['reason']
    assert result['n_failed'] == 1
    json.dumps(result, allow_nan=False)


def test_nothing_to_evaluate():
    result, predictions = evaluate([], EMT())
    assert result['overall']['energy'] == NOTHING
    assert result['rows'] == predictions == []


def test_predictions_are_those_of_the_structures_that_did_not_fail(outcome):
    _, predictions = outcome
    assert [frame.formula for frame in predictions] == ['AlCu3', 'Cu4']
    assert predictions[0].properties.keys() == {'energy', 'forces', 'stress'}
    # Labels without stress are not compared to one.
    assert predictions[1].properties.keys() == {'energy', 'forces'}
    assert predictions[0].provenance == {'system': 'alloy'}
    # Arrays that a calculator uses again are copied: of the first frame, too, the error is the known one.
    assert predictions[0].properties['forces'] - alloy_forces(predictions[0]) == pytest.approx(
        np.array([[0.2, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]), abs=1e-9
    )


def alloy_forces(frame):
    atoms = frame.atoms.copy()
    atoms.calc = EMT()
    return atoms.get_forces()


class Dipoles(Calculator):
    """Dipoles and polarizabilities of a model that has no energy; an error of 0.1 e·Å on x and 0.5 Å³ on xx."""

    implemented_properties = ['dipole', 'polarizability']

    def calculate(self, atoms=None, properties=None, system_changes=None):
        super().calculate(atoms)
        self.results = {'dipole': self.atoms.positions[0] + [0.1, 0, 0], 'polarizability': np.eye(3)}
        self.results['polarizability'][0, 0] += 0.5


def test_dipoles_and_polarizabilities():
    frames = [
        Structure(
            bulk('Cu', cubic=True),
            {'energy': 1.0, 'forces': np.zeros((4, 3)), 'dipole': np.array([x, 2.0, 0.0]), 'polarizability': np.eye(3)},
        )
        for x in (0.0, 1.0)
    ]
    for frame in frames:
        frame.atoms.positions[0] = frame.properties['dipole']
    frames.append(labelled(bulk('Cu')))
    result, predictions = evaluate(frames, Dipoles(), report=lambda line: None)
    overall = result['overall']
    assert overall['energy'] == overall['forces'] == overall['stress'] == NOTHING
    # The mean dipole is [0.5, 2, 0]: only x scatters, by 0.5.
    expected = {'rmse': 0.1 / np.sqrt(3), 'mae': 0.1 / 3, 'max': 0.1, 'std': 0.5 / np.sqrt(3), 'n': 6}
    assert overall['dipole'] == pytest.approx(expected)
    expected = {'rmse': 0.5 / 3, 'mae': 0.5 / 9, 'max': 0.5, 'std': 0.0, 'n': 18}
    assert overall['polarizability'] == pytest.approx(expected)
    assert result['per_element'] == {}
    assert result['rows'][0]['energy_error'] is None
    assert result['rows'][0]['dipole_rmse'] == pytest.approx(0.1 / np.sqrt(3))
    assert result['rows'][2]['reason'] == 'ValueError: its labels hold nothing that the potential predicts'
    assert [frame.properties.keys() for frame in predictions] == [{'dipole', 'polarizability'}] * 2
    json.dumps(result, allow_nan=False)


def test_std_is_the_error_of_the_mean_predictor(result):
    frame = labelled(bulk('Cu', cubic=True), stress=False)
    frame.properties['forces'] = np.arange(12.0).reshape(4, 3)
    found = evaluate([frame], Shifted())[0]['overall']['forces']
    # Each component about its own mean: -4.5, -1.5, 1.5, 4.5.
    assert found['std'] == pytest.approx(np.sqrt((4.5**2 + 1.5**2) / 2))
    # One structure is its own mean.
    assert result['per_system']['alloy']['energy']['std'] == 0
