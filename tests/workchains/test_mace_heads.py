"""Two levels of theory in one model, and fine-tuning that forgets or does not; all trained for real."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from ase import Atoms

from aiida_traincraft.data.dataset import DatasetData, DatasetRow, isolated_atom_energies
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.science.structure import Structure

pytestmark = pytest.mark.long

SCALE, SHIFT = 1.3, 1.0
"""The other level of theory: energies, forces and stresses scaled, energies shifted by this much per atom (eV)."""


@pytest.fixture(scope='module')
def other_dataset(aiida_profile, copper_frames, with_emt_labels):
    """Eight training and six test frames at the other level."""

    def relabelled(frame):
        scaled = {name: SCALE * np.asarray(value) for name, value in frame.properties.items()}
        scaled['energy'] = float(scaled['energy']) + SHIFT * len(frame)
        return Structure(frame.atoms, scaled, frame.provenance | {'level_of_theory': 'shifted'})

    atom = with_emt_labels(Structure(Atoms('Cu', pbc=False), provenance={'system': 'isolated_atom'}))
    rows = []
    frames = {'train': copper_frames[:12], 'test': copper_frames[24:], 'e0': [atom]}
    for split, members in frames.items():
        for frame in members:
            node = LabelData(relabelled(frame)).store()
            rows.append(DatasetRow(node.uuid, node.fingerprint, node.structure_fingerprint, split))
    return DatasetData(rows, ['shifted'], isolated_atom_energies([relabelled(atom)])).store()


@pytest.fixture(scope='module')
def fit(run_workchain, make_campaign_content, mace_training, mace_code):
    """Function that trains one model with changes to the config; returns the potential."""

    def make(dataset, **changes):
        content = make_campaign_content()
        content['training'] = mace_training | {'committee': 1, 'max_num_epochs': 30, 'batch_size': 4} | changes
        content['codes'] |= {role: {'code': 'mace@localhost'} for role in ('mace', 'mace_train')}
        codes = {'mace': mace_code, 'mace_train': mace_code}
        node = run_workchain('traincraft.train.mace', content, dataset=dataset, seed=orm.Int(1), codes=codes)
        assert node.is_finished_ok, node.exit_message
        return node.outputs.potential

    return make


@pytest.fixture(scope='module')
def force_error(run_job, mace_code):
    """Function that gives the force RMSE (eV/Å) of a potential on a test set."""

    def score(potential, dataset, head=None):
        parameters = {} if head is None else {'head': head}
        node = run_job('traincraft.evaluate', parameters, potential=potential, dataset=dataset, code=mace_code)
        assert node.is_finished_ok, node.exit_message
        return node.outputs.errors['overall']['forces']['rmse']

    return score


@pytest.fixture(scope='module')
def foundation(fit, copper_dataset):
    return fit(copper_dataset)


def test_each_head_knows_its_own_level_better(fit, force_error, copper_dataset, other_dataset):
    potential = fit(copper_dataset, heads=[{'name': 'shifted', 'dataset': other_dataset.uuid}])
    assert [(head['name'], head['level_of_theory']) for head in potential.heads] == [
        ('shifted', 'shifted'),
        ('Default', 'emt'),
    ]
    own = {head['name']: head['e0']['Cu'] for head in potential.heads}
    assert own == pytest.approx({'Default': copper_dataset.e0['Cu'], 'shifted': other_dataset.e0['Cu']})
    # The head follows the level of theory of the dataset.
    assert force_error(potential, copper_dataset) < 0.7 * force_error(potential, copper_dataset, head='shifted')
    assert force_error(potential, other_dataset) < 0.7 * force_error(potential, other_dataset, head='Default')


def test_replay_forgets_less_than_naive_fine_tuning(fit, force_error, foundation, copper_dataset, other_dataset):
    start = {'potential': foundation.uuid}
    naive = fit(other_dataset, foundation=start, lr=0.005)
    replayed = fit(
        other_dataset,
        foundation=start | {'mode': 'replay', 'replay_dataset': copper_dataset.uuid},
        lr=0.005,
    )
    assert naive.e0 == pytest.approx(other_dataset.e0)
    before = force_error(foundation, copper_dataset)
    forgotten = {'naive': force_error(naive, copper_dataset), 'replay': force_error(replayed, copper_dataset)}
    learnt = {'naive': force_error(naive, other_dataset), 'replay': force_error(replayed, other_dataset)}
    print(f'force RMSE (eV/Å): before {before:.3f}, on the old data {forgotten}, on the new {learnt}')
    assert forgotten['replay'] < 0.7 * forgotten['naive']
    unchanged = force_error(foundation, other_dataset)
    assert learnt['naive'] < 0.7 * unchanged
    assert learnt['replay'] < 0.7 * unchanged
