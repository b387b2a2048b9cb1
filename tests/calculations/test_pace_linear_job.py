from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from aiida_traincraft.data.dataset import DatasetData


def test_the_fit_gives_emt_back(linear_fit, copper_dataset):
    calculator = linear_fit.outputs.potential.get_calculator()
    energies, forces = [], []
    for frame in copper_dataset.get_structures('test'):
        atoms = frame.atoms.copy()
        atoms.calc = calculator
        energies.append((atoms.get_potential_energy() - frame.properties['energy']) / len(frame))
        forces.append((atoms.get_forces() - frame.properties['forces']).ravel())
    assert np.sqrt(np.mean(np.square(energies))) < 0.002
    assert np.sqrt(np.mean(np.square(np.concatenate(forces)))) < 0.02


def test_an_isolated_atom_has_its_own_energy(linear_fit, copper_dataset):
    atom = Atoms('Cu', pbc=False)
    atom.calc = linear_fit.outputs.potential.get_calculator()
    assert atom.get_potential_energy() == pytest.approx(copper_dataset.e0['Cu'], abs=1e-9)


def test_what_the_fit_reports(linear_fit):
    summary, potential = linear_fit.outputs.summary.get_dict(), linear_fit.outputs.potential
    assert summary['n_functions'] == {'Cu': 30}
    assert summary['n_structures'] == 24
    assert summary['ridge'] in (1e-8, 1e-6)
    assert len(summary['scan']) == 2
    assert potential.metrics['train'] == summary['train']
    assert potential.elements == ['Cu']
    assert potential.cutoff == 5.0
    assert potential.baseline == {'type': 'zbl'}
    assert not potential.has_active_set
    assert 'potential.yaml' not in linear_fit.outputs.retrieved.list_object_names()


def test_a_missing_isolated_atom_energy_is_named(run_job, copper_dataset, linear_training):
    dataset = DatasetData(copper_dataset.rows, ['emt'], {})
    node = run_job('traincraft.pace_linear', {'training': linear_training, 'seed': 1}, dataset=dataset)
    assert node.exit_status == node.process_class.exit_codes.ERROR_BAD_INPUT.status
    assert 'Cu' in node.exit_message
    assert 'e0' in node.exit_message


def test_too_few_atoms_for_a_basis(run_job, store_dataset, copper_frames, linear_training):
    dataset = store_dataset(copper_frames[1:2])
    node = run_job('traincraft.pace_linear', {'training': linear_training, 'seed': 1}, dataset=dataset)
    assert node.exit_status == node.process_class.exit_codes.ERROR_BAD_INPUT.status
    assert 'only 4 atoms of Cu' in node.exit_message
