from __future__ import annotations

import json

import numpy as np
import pytest
from aiida import orm


@pytest.fixture(scope='module')
def scored(run_job, active_set, copper_dataset) -> orm.CalcJobNode:
    node = run_job('traincraft.evaluate', {}, potential=active_set.outputs.potential, dataset=copper_dataset)
    assert node.is_finished_ok, node.exit_message
    return node


def test_errors_are_those_of_the_potentials_calculator(scored, active_set, copper_dataset):
    calculator = active_set.outputs.potential.get_calculator()
    differences = {'energy': [], 'forces': [], 'stress': []}
    for frame in copper_dataset.get_structures('test'):
        atoms = frame.atoms.copy()
        atoms.calc = calculator
        differences['energy'].append((atoms.get_potential_energy() - frame.properties['energy']) / len(frame))
        differences['forces'] += (atoms.get_forces() - frame.properties['forces']).ravel().tolist()
        differences['stress'] += (atoms.get_stress() - frame.properties['stress']).tolist()
    for key, values in differences.items():
        found = scored.outputs.errors['overall'][key]
        assert found['n'] == len(values)
        assert found['rmse'] == pytest.approx(np.sqrt(np.mean(np.square(values))), abs=1e-6)
        assert found['mae'] == pytest.approx(np.mean(np.abs(values)), abs=1e-6)
        assert found['max'] == pytest.approx(np.max(np.abs(values)), abs=1e-6)


def test_errors_by_element_and_system(scored):
    errors = scored.outputs.errors.get_dict()
    assert errors['per_element']['Cu'] == errors['overall']['forces']
    assert errors['per_system']['bulk'] == errors['overall']
    assert errors['n_failed'] == 0
    assert 'seconds' not in errors
    assert scored.outputs.summary['seconds'] > 0


def test_every_structure_has_a_row(scored, active_set, copper_dataset):
    rows = json.loads(scored.outputs.per_structure.get_content())
    frames = copper_dataset.get_structures('test')
    assert [row['formula'] for row in rows] == [frame.formula for frame in frames]
    calculator = active_set.outputs.potential.get_calculator()
    assert rows[0]['max_uncertainty'] == pytest.approx(calculator.gamma(frames[0].atoms).max(), abs=1e-6)
