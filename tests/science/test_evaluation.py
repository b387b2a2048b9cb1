from __future__ import annotations

import json

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT

from aiida_traincraft.science.evaluation import evaluate
from aiida_traincraft.science.structure import Structure


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
def result():
    alloy = bulk('Cu', cubic=True)
    alloy.symbols[0] = 'Al'
    alloy.rattle(0.1, seed=1)
    pair = bulk('Cu').repeat((2, 1, 1))
    frames = [labelled(alloy, 'alloy'), labelled(bulk('Cu', cubic=True), 'copper', stress=False), labelled(pair)]
    return evaluate(frames, Shifted(), report=lambda line: None)


def test_known_errors_are_found(result):
    assert result['overall']['energy'] == pytest.approx({'rmse': 0.1, 'mae': 0.1, 'max': 0.1, 'n': 2})
    assert result['overall']['stress'] == pytest.approx({'rmse': 0.01, 'mae': 0.01, 'max': 0.01, 'n': 6})
    forces = result['overall']['forces']
    assert forces['n'] == 24
    assert forces['rmse'] == pytest.approx(0.2 / np.sqrt(24))
    assert forces['mae'] == pytest.approx(0.2 / 24)
    assert forces['max'] == pytest.approx(0.2)
    assert result['per_element']['Al']['rmse'] == pytest.approx(0.2 / np.sqrt(3))
    assert result['per_element']['Cu']['max'] == pytest.approx(0.0, abs=1e-12)


def test_systems_are_kept_apart(result):
    assert set(result['per_system']) == {'alloy', 'copper'}
    assert result['per_system']['copper']['stress'] == {'rmse': None, 'mae': None, 'max': None, 'n': 0}


def test_failed_structure_is_a_row(result):
    assert [row['status'] for row in result['rows']] == ['ok', 'ok', 'failed']
    assert 'not finite' in result['rows'][2]['reason']
    assert result['n_failed'] == 1
    json.dumps(result, allow_nan=False)


def test_nothing_to_evaluate():
    result = evaluate([], EMT())
    assert result['overall']['energy'] == {'rmse': None, 'mae': None, 'max': None, 'n': 0}
    assert result['rows'] == []
