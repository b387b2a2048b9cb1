from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from aiida_traincraft.science.structure import Structure

PARAMETERS = {'gamma_lo': 1.5, 'seed': 1}


def test_the_potential_is_completed(active_set, linear_fit, copper_dataset):
    potential, before = active_set.outputs.potential, linear_fit.outputs.potential
    assert sorted(potential.files) == ['potential.asi', 'potential.yace', 'potential.yaml']
    assert potential.has_active_set
    assert not potential.is_degenerate
    assert potential.metrics == before.metrics
    assert potential.e0 == copper_dataset.e0
    assert potential.base.repository.get_object_content('potential.yaml') == before.base.repository.get_object_content(
        'potential.yaml'
    )


def test_the_fast_file_carries_the_isolated_atom_energy(active_set, copper_dataset):
    text = active_set.outputs.potential.base.repository.get_object_content('potential.yace')
    assert f'E0: [{copper_dataset.e0["Cu"]!r}]' in text


def test_one_descriptor_per_training_structure(active_set, copper_dataset):
    descriptors = active_set.outputs.descriptors.get_array('descriptors')
    assert descriptors.shape == (copper_dataset.count('train'), 30)
    frame = copper_dataset.get_structures('train')[3]
    calculator = active_set.outputs.potential.get_calculator()
    np.testing.assert_allclose(descriptors[3], calculator.descriptor(frame.atoms), rtol=1e-10)


def test_training_structures_lie_within_their_active_set(active_set, copper_dataset):
    calculator = active_set.outputs.potential.get_calculator()
    grades = [calculator.gamma(frame.atoms).max() for frame in copper_dataset.get_structures('train')]
    assert max(grades) == pytest.approx(1.0, abs=0.05)


def test_ideal_crystals_are_flagged(run_job, store_dataset, with_emt_labels, linear_fit):
    crystals = [bulk('Cu', 'fcc', a=a, cubic=True) for a in np.linspace(3.4, 3.8, 10)]
    dataset = store_dataset([with_emt_labels(Structure(atoms)) for atoms in crystals])
    node = run_job('traincraft.pace_activeset', PARAMETERS, dataset=dataset, potential=linear_fit.outputs.potential)
    assert node.is_finished_ok, node.exit_message
    assert node.outputs.summary['degenerate']
    assert node.outputs.potential.is_degenerate
    assert 'degenerate' in str(node.outputs.potential)
    assert node.outputs.summary['message']


def test_too_few_atoms_are_counted(run_job, store_dataset, copper_frames, linear_fit):
    node = run_job(
        'traincraft.pace_activeset',
        PARAMETERS,
        dataset=store_dataset(copper_frames[1:3]),
        potential=linear_fit.outputs.potential,
    )
    assert node.exit_status == node.process_class.exit_codes.ERROR_BAD_INPUT.status
    assert 'Cu: 8 atoms, 30 functions' in node.exit_message
    assert 'potential' not in node.outputs
