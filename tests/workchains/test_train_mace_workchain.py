"""A committee of real MACE models: trained, scored, explored with; and what a training does after each early end."""

from __future__ import annotations

import json
import os
import subprocess

import ase.io
import numpy as np
import pytest
from aiida import orm
from ase import Atoms

from aiida_traincraft.calculations.functions.calibration import calibrate_uncertainty
from aiida_traincraft.calculations.functions.datasets import extend_dataset
from aiida_traincraft.calculations.mace_train import MaceTrainCalculation
from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.ledger import LedgerData
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.data.potentials.mace import MacePotentialData
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.workchains.base import MAX_TRIES

CODES = MaceTrainCalculation.exit_codes

# Run where MACE is, with the frames' file and the models' files.
MACES_OWN = """
import json, sys
from mace.calculators import MACECalculator
from ase.io import read

frames, *models = sys.argv[1:]
calculator = MACECalculator(model_paths=models, device='cpu', default_dtype='float32')
found = []
for atoms in read(frames, ':'):
    atoms.calc = calculator
    results = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
    found.append([float(results[0]), results[1].tolist(), results[2].tolist()])
print(json.dumps(found))
"""


@pytest.fixture(scope='module')
def content(make_campaign_content, mace_training):
    content = make_campaign_content()
    content['training'] = mace_training
    content['codes'] |= {role: {'code': 'mace@localhost'} for role in ('mace', 'mace_train')}
    return content


@pytest.fixture(scope='module')
def codes(python_code, mace_code):
    return {'ase': python_code, 'mace': mace_code, 'mace_train': mace_code}


def test_data_that_never_arrive_end_the_training(run_workchain, content, localhost, copper_dataset):
    code = orm.InstalledCode(localhost, '/bin/false', label='mace-dies-always').store()
    inputs = {'dataset': copper_dataset, 'seed': orm.Int(1), 'codes': {'mace': code, 'mace_train': code}}
    node = run_workchain('traincraft.train.mace', content, **inputs)
    assert node.exit_status == 400
    assert [job.exit_status for job in node.called] == [300] * MAX_TRIES


@pytest.fixture(scope='module')
def trained(run_workchain, content, codes, copper_dataset):
    node = run_workchain(
        'traincraft.train', content, dataset=copper_dataset, test_set=copper_dataset, seed=orm.Int(1), codes=codes
    )
    assert node.is_finished_ok, node.exit_message
    return node


@pytest.mark.slow
def test_committee_is_trained_and_scored(trained, copper_dataset):
    potential = trained.outputs.potential
    assert isinstance(potential, MacePotentialData)
    assert (potential.n_models, potential.measure, potential.elements) == (2, 'spread', ['Cu'])
    assert potential.e0 == pytest.approx(copper_dataset.e0)
    assert potential.heads[0]['level_of_theory'] == 'emt'
    overall = trained.outputs.errors['overall']
    assert overall['forces']['rmse'] < overall['forces']['std']
    assert trained.outputs.descriptors.get_array('descriptors').shape[0] < copper_dataset.count('train')
    members = [node for node in trained.called_descendants if node.process_label == 'MaceTrainCalculation']
    data = {node.inputs.data.uuid for node in members}
    assert len(members) == 2
    assert len(data) == 1
    assert len({node.inputs.seed.value for node in members}) == 2
    for node in members:
        rows = node.outputs.history['epochs']
        assert min(row['forces_rmse'] for row in rows[1:]) < rows[0]['forces_rmse']


@pytest.mark.long
def test_the_spread_is_held_against_true_errors(trained, run_job, codes, store_dataset, copper_frames):
    dataset = store_dataset(copper_frames[:1], copper_frames[1:])
    scored = run_job(
        'traincraft.evaluate', {}, code=codes['mace'], potential=trained.outputs.potential, dataset=dataset
    )
    parameters = orm.Dict({'measure': 'spread', 'alpha': 0.1, 'max_force_error': 0.2})
    node = calibrate_uncertainty(scored.outputs.predictions, dataset, parameters)
    print(node)
    assert node.calibration is not None, node.reason
    assert node.calibration.unit == 'eV/Å'
    found = node.base.attributes.get('coverage')
    # Two standard errors of few structures.
    assert abs(found['coverage'] - 0.9) < max(0.05, 2 * found['standard_error'])


@pytest.fixture(scope='module')
def explored(run_workchain, content, codes, trained, copper_dataset):
    """Function that explores with the committee between two thresholds (eV/Å)."""

    def explore(lo, hi):
        content['exploration'] |= {'runs_per_system': 1, 'spread_lo': lo, 'spread_hi': hi}
        return run_workchain(
            'traincraft.explore',
            content,
            potential=trained.outputs.potential,
            dataset=copper_dataset,
            descriptors=trained.outputs.descriptors,
            ledger=LedgerData([]).store(),
            seed=orm.Int(2),
            budget=orm.Int(2),
            codes=codes,
        )

    return explore


@pytest.mark.long
def test_committee_explores_and_halts(explored):
    watched = explored(1e-6, 1e3)
    assert watched.is_finished_ok, watched.exit_message
    (frames,) = watched.outputs.frames.values()
    structures = frames.get_frames()
    assert frames.base.attributes.get('measure') == 'spread'
    assert all(frame.properties['uncertainty'].shape == (len(frame),) for frame in structures)
    assert all(frame.properties['energy_spread'] > 0 for frame in structures)
    assert watched.outputs.report['n_uncertain'] == len(structures)
    assert watched.outputs.report['n_selected'] == 2

    halted = explored(1e-6, 2e-6)
    (summary,) = halted.outputs.summaries.values()
    assert [run['end'] for run in summary['runs']] == ['halted']


def test_an_element_without_e0_is_refused_before_anything_runs(run_workchain, content, codes, copper_dataset):
    rows = [row for row in copper_dataset.rows if row.split == 'train']
    without = DatasetData(rows, ['emt'], {'Al': 3.0}).store()
    node = run_workchain('traincraft.train.mace', content, dataset=without, seed=orm.Int(1), codes=codes)
    assert node.exit_status == 210
    assert 'no isolated-atom energy (e0, eV) is given for Cu' in node.exit_message
    assert not node.called


@pytest.fixture(scope='module')
def predicted(trained):
    """What the job that scored the committee has kept of the six test frames."""
    (score,) = [node for node in trained.called if node.process_label == 'EvaluateCalculation']
    return score.outputs.predictions.get_frames()


@pytest.mark.slow
def test_predictions_are_those_of_maces_own_calculator(trained, predicted, mace_python, tmp_path):
    potential = trained.outputs.potential
    potential.write_files(tmp_path)
    ase.io.write(tmp_path / 'frames.traj', [frame.atoms for frame in predicted])
    done = subprocess.run(
        [mace_python, '-c', MACES_OWN, 'frames.traj', *potential.job_table()['models']],
        check=False,
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != 'PYTHONPATH'},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    expected = json.loads(done.stdout.splitlines()[-1])
    assert len(expected) == len(predicted) == 6
    for frame, (energy, forces, stress) in zip(predicted, expected, strict=True):
        assert frame.properties['energy'] == pytest.approx(energy, abs=1e-6, rel=0)
        assert np.abs(frame.properties['forces'] - forces).max() < 1e-6
        assert np.abs(frame.properties['stress'] - stress).max() < 1e-6


@pytest.mark.long
def test_the_same_dataset_trains_ace_too(run_workchain, make_campaign_content, trained, copper_dataset):
    ace = run_workchain('traincraft.train', make_campaign_content(), dataset=copper_dataset, seed=orm.Int(1))
    assert ace.is_finished_ok, ace.exit_message
    for node, label in ((trained, 'MaceDataCalculation'), (ace, 'PaceLinearCalculation')):
        (job,) = [child for child in node.called_descendants if child.process_label == label]
        datasets = job.base.links.get_incoming(DatasetData).all_nodes()
        assert [dataset.uuid for dataset in datasets] == [copper_dataset.uuid]


@pytest.fixture(scope='module')
def taught(run_workchain, content, codes, trained, predicted, store_structures):
    """Labels by the committee, of the test frames and of the isolated atom."""
    potential = trained.outputs.potential
    atom = Structure(Atoms('Cu', pbc=False), provenance={'system': 'isolated_atom'})
    labelling = {'type': 'potential', 'potential': potential.uuid}
    manifest = store_structures([*(frame.bare() for frame in predicted), atom])
    node = run_workchain('traincraft.label', content | {'labelling': labelling}, structures=manifest, codes=codes)
    assert node.is_finished_ok, node.exit_message
    return node.outputs.manifest


@pytest.mark.slow
def test_the_committee_labels(taught, trained, predicted):
    *labels, atom = [orm.load_node(uuid).get_structure() for uuid in taught.uuids]
    for label, frame in zip(labels, predicted, strict=True):
        # One by one instead of in a batch: in float32 the sum of eight E0s has steps of 2e-6 eV.
        assert label.properties['energy'] == pytest.approx(frame.properties['energy'], abs=1e-5, rel=0)
    assert atom.properties['energy'] == trained.outputs.potential.e0['Cu']
    (level,) = {label.provenance['level_of_theory'] for label in (*labels, atom)}
    node = orm.QueryBuilder().append(LevelOfTheoryData, filters={'label': level}).one()[0]
    assert node.content['surrogate'] is True


@pytest.mark.slow
def test_labels_of_the_committee_enter_no_dataset_of_its_teacher(taught, copper_dataset):
    with pytest.raises(ValueError, match='labels of 2 levels of theory cannot share one dataset'):
        extend_dataset(labels=taught, split=orm.Str('train'), previous=copper_dataset)
