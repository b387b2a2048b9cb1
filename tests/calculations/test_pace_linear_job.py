from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from ase import Atoms

from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.potentials.pace import YAML
from aiida_traincraft.science.config.training.pace_linear import PaceLinearTraining


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


@pytest.fixture(scope='module')
def small_fit(run_job, copper_dataset):
    """A fit to the ten most informative of twenty-four structures."""
    training = PaceLinearTraining(cutoff=5.0, functions=20, active_set_size=10).model_dump(mode='json')
    node = run_job('traincraft.pace_linear', {'training': training, 'seed': 1}, dataset=copper_dataset)
    assert node.is_finished_ok, node.exit_message
    return node


def test_only_the_most_informative_structures_are_trained_on(small_fit, copper_dataset, store_dataset, run_job):
    summary, potential = small_fit.outputs.summary, small_fit.outputs.potential
    assert summary['n_structures'] == 10
    labels = {row.label: row for row in copper_dataset.rows if row.split == 'train'}
    assert len(set(summary['left_out'])) == 14
    assert set(summary['left_out']) < set(labels)
    assert (potential.metrics['n_structures'], potential.metrics['n_left_out']) == (10, 14)
    assert 'left_out' not in potential.metrics
    # A fit to a dataset of exactly the others is the same.
    rows = [row for row in copper_dataset.rows if row.label not in summary['left_out']]
    training = PaceLinearTraining(cutoff=5.0, functions=20).model_dump(mode='json')
    dataset = DatasetData(rows, ['emt'], copper_dataset.e0).store()
    other = run_job('traincraft.pace_linear', {'training': training, 'seed': 1}, dataset=dataset)
    assert other.outputs.summary['left_out'] == []
    assert other.outputs.potential.read_file(YAML) == potential.read_file(YAML)


def test_trainings_that_left_a_label_out_are_found(small_fit):
    label = small_fit.outputs.summary['left_out'][3]
    query = orm.QueryBuilder().append(orm.CalcJobNode, tag='fit', project='uuid')
    query.append(orm.Dict, with_incoming='fit', filters={'attributes.left_out': {'contains': [label]}})
    assert query.all(flat=True) == [small_fit.uuid]


def test_the_active_set_is_of_what_was_trained_on(small_fit, copper_dataset, run_job):
    summary = small_fit.outputs.summary
    inputs = {'dataset': copper_dataset, 'potential': small_fit.outputs.potential, 'fit': summary}
    node = run_job('traincraft.pace_activeset', {'gamma_lo': 1.5, 'seed': 1}, **inputs)
    assert node.is_finished_ok, node.exit_message
    assert node.outputs.descriptors.get_array('descriptors').shape[0] == 10
    calculator = node.outputs.potential.get_calculator()
    grades = {
        frame.provenance['label']: calculator.gamma(frame.atoms).max() for frame in copper_dataset.iterate('train')
    }
    left_out = [grades.pop(label) for label in summary['left_out']]
    assert max(grades.values()) == pytest.approx(1.0, abs=0.05)
    assert max(left_out) > 1.05


def test_too_few_structures_for_the_functions(run_job, copper_dataset):
    training = PaceLinearTraining(cutoff=5.0, functions=20, active_set_size=2).model_dump(mode='json')
    node = run_job('traincraft.pace_linear', {'training': training, 'seed': 1}, dataset=copper_dataset)
    assert node.exit_status == node.process_class.exit_codes.ERROR_BAD_INPUT.status
    assert 'take at least 3' in node.exit_message
