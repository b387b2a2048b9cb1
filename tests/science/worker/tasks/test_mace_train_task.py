from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from aiida_traincraft.science.errors import TaskError
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.training.mace.input import label_counts, split_validation, write_data
from aiida_traincraft.science.training.mace.watch import is_whole
from aiida_traincraft.science.worker.main import run_task
from aiida_traincraft.science.worker.tasks import mace_train

RECORDED = Path(__file__).parents[3] / 'recorded' / 'mace_train'
SOURCE = Path(mace_train.__file__).parents[4]
E0 = {'Cu': 3.51}
TRAINING = {
    'type': 'mace',
    'r_max': 4.0,
    'num_interactions': 1,
    'num_channels': 8,
    'max_L': 0,
    'max_ell': 1,
    'correlation': 2,
    'radial_MLP': [8],
    'batch_size': 4,
    'lr': 0.02,
    'max_num_epochs': 3,
    'dtype': 'float32',
}
WORKER = 'from aiida_traincraft.science.worker.main import main; raise SystemExit(main())'
ERRORS = """
import json, sys
from pathlib import Path

import numpy as np

from aiida_traincraft.science.calculators.potential import load_potential
from aiida_traincraft.science.structure import read_extxyz

folder = Path(sys.argv[1])
found = {}
for head in ('shifted', 'emt'):
    calculator = load_potential({'type': 'mace', 'models': ['potential.model'], 'head': head}, folder)
    energies, forces = [], []
    for frame in read_extxyz(folder / 'data' / f'{head}_valid.xyz'):
        calculator.calculate(frame.atoms)
        energies.append((calculator.results['energy'] - frame.properties['energy']) / len(frame))
        forces.append((calculator.results['forces'] - frame.properties['forces']).ravel())
    found[head] = [float(np.sqrt(np.mean(np.square(values)))) for values in (energies, np.concatenate(forces))]
print(json.dumps(found))
"""


def prepare(folder, heads, **changes):
    """Write a job folder; ``heads`` are frames and E0s by name, the own one last."""
    (folder / 'data').mkdir(parents=True)
    rows = []
    for name, (frames, e0) in heads.items():
        counts = {}
        for split, part in zip(('train', 'valid'), split_validation(frames, 0.2), strict=True):
            write_data(folder / 'data' / f'{name}_{split}.xyz', part)
            counts[split] = label_counts(part)
        rows.append({'name': name, 'e0': e0, 'counts': counts})
    parameters = {'training': TRAINING, 'heads': rows, 'seed': 3, 'device': 'cpu', 'checkpoint': None} | changes
    (folder / 'task.json').write_text(json.dumps({'task': 'mace_train', 'parameters': parameters}))


def start(folder, python):
    environment = os.environ | {'PYTHONPATH': str(SOURCE), 'OMP_NUM_THREADS': '1'}
    with (folder / 'worker.out').open('w') as out:
        return subprocess.Popen([str(python), '-c', WORKER], cwd=folder, env=environment, stdout=out, stderr=out)


def result_of(folder, worker):
    worker.wait()
    return json.loads((folder / 'result.json').read_text())


@pytest.fixture
def without_mace(monkeypatch):
    """What comes before MACE starts needs no MACE."""
    monkeypatch.setattr(mace_train, 'require_mace', lambda: None)


@pytest.fixture(scope='module')
def two_heads(tmp_path_factory, copper_frames, mace_python):
    """Result and folder of a training of two levels of theory, with stage two and the form for LAMMPS."""
    shifted = [frame.copy() for frame in copper_frames[:16]]
    for frame in shifted:
        frame.properties['energy'] += len(frame)
        frame.properties['forces'] = 1.1 * frame.properties['forces']
        del frame.properties['stress']
    heads = {'shifted': (shifted, {'Cu': 4.51}), 'emt': (copper_frames[:16], E0 | {'Al': 1.0})}
    training = TRAINING | {
        'head': 'emt',
        'heads': [{'name': 'shifted', 'dataset': 'x'}],
        'start_stage_two': 2,
        'compiled': True,
    }
    folder = tmp_path_factory.mktemp('mace') / 'two_heads'
    prepare(folder, heads, training=training | {'lammps': 'libtorch'}, descriptors=True)
    return result_of(folder, start(folder, mace_python)), folder


@pytest.mark.slow
def test_two_heads_are_trained_and_described(two_heads):
    result, folder = two_heads
    assert (result['status'], result['stage'], result['epochs'], result['resumed_from']) == ('ok', 'two', 3, None)
    assert (result['model'], result['r_max'], result['dtype']) == ('ScaleShiftMACE', 4.0, 'float32')
    assert (result['elements'], result['heads']) == (
        ['Cu'],
        [{'name': 'shifted', 'e0': {'Cu': 4.51}}, {'name': 'emt', 'e0': E0}],
    )
    assert result['models'] == {
        'model': 'potential.model',
        'compiled': 'potential_compiled.model',
        'lammps': 'potential_lammps.pt',
    }
    assert all((folder / name).is_file() for name in result['models'].values())
    assert not list(folder.glob('*stagetwo*'))
    assert [(row['epoch'], row['head']) for row in result['history'][:2]] == [(0, 'shifted'), (0, 'emt')]
    assert result['labels_read']['shifted']['train']['stress'] == 0
    assert result['labels_read']['emt']['train']['stress'] == result['labels_read']['emt']['train']['energy'] > 0
    n_train = result['labels_read']['emt']['train']['configurations']
    assert (result['finished_early'], result['warnings']) == (False, [])
    descriptors = np.load(folder / mace_train.DESCRIPTORS_FILE)
    assert descriptors.shape == (n_train, 8)
    assert len(np.unique(descriptors, axis=0)) == n_train


@pytest.mark.slow
def test_restart_folder_holds_the_newest_checkpoint(two_heads):
    _, folder = two_heads
    (kept,) = (folder / 'restart').iterdir()
    assert kept.name == 'potential_run-3_epoch-2_swa.pt'
    assert is_whole(kept)
    assert 'epoch 2 of 3, head emt: loss' in (folder / 'worker.out').read_text()


@pytest.mark.slow
def test_finish_makes_the_model_of_the_checkpoint(two_heads, tmp_path, mace_python):
    trained, folder = two_heads
    shutil.copytree(folder / 'data', tmp_path / 'data')
    (checkpoint,) = (folder / 'restart').iterdir()
    shutil.copy(checkpoint, tmp_path)
    task = json.loads((folder / 'task.json').read_text())
    task['parameters'] |= {'finish': True, 'checkpoint': checkpoint.name}
    # What this lacks a package for must not cost the model.
    task['parameters']['training']['lammps'] = 'mliap'
    (tmp_path / 'task.json').write_text(json.dumps(task))
    result = result_of(tmp_path, start(tmp_path, mace_python))
    assert (result['status'], result['stage'], result['epochs'], result['resumed_from']) == ('ok', 'two', 3, 2)
    assert result['finished_early'] is True
    for head in ('emt', 'shifted'):
        assert result['errors'][head]['valid'] == pytest.approx(trained['errors'][head]['valid'], rel=1e-4)
    assert (tmp_path / 'potential.model').is_file()
    (warning,) = result['warnings']
    assert warning.startswith('form for LAMMPS: RuntimeError: ')
    assert result['models']['lammps'] is None


@pytest.mark.slow
def test_validation_errors_are_those_of_the_model(two_heads, mace_python):
    result, folder = two_heads
    environment = os.environ | {'PYTHONPATH': str(SOURCE)}
    command = [str(mace_python), '-c', ERRORS, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    for head in ('emt', 'shifted'):
        reported = result['errors'][head]['valid']
        assert [reported['energy_rmse'], reported['forces_rmse']] == pytest.approx(found[head], rel=1e-4)


@pytest.mark.slow
def test_lost_and_broken_labels_stop_the_training(tmp_path, copper_frames, mace_python):
    misnamed, broken = tmp_path / 'misnamed', tmp_path / 'broken'
    prepare(misnamed, {'Default': (copper_frames[:12], E0)})
    data = misnamed / 'data' / 'Default_train.xyz'
    data.write_text(data.read_text().replace('REF_stress', 'stress_REF', 2))
    nan = [frame.copy() for frame in copper_frames[:12]]
    nan[0].properties['energy'] = float('nan')
    prepare(broken, {'Default': (nan, E0)})
    workers = {folder: start(folder, mace_python) for folder in (misnamed, broken)}
    result = result_of(misnamed, workers[misnamed])
    assert result['kind'] == 'labels_dropped'
    sent = data.read_text().count('REF_stress') + 2
    assert f'"Default", train set: stress sent {sent}, read by MACE {sent - 2}' in result['message']
    assert result_of(broken, workers[broken])['kind'] == 'bad_input'
    assert not (broken / 'restart').exists()


@pytest.mark.long
def test_dielectric_model(tmp_path, mace_python):
    rng = np.random.default_rng(1)
    frames = []
    for _ in range(10):
        atoms = Atoms('OH2', [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
        atoms.positions += rng.normal(scale=0.05, size=(3, 3))
        dipole = np.array([-0.8, 0.4, 0.4]) @ atoms.positions
        polarizability = 1.4 * np.eye(3) + 0.1 * np.outer(dipole, dipole)
        frames.append(Structure(atoms, {'dipole': dipole, 'polarizability': polarizability}))
    training = TRAINING | {'model': 'AtomicDielectricMACE', 'max_L': 2, 'max_ell': 2, 'max_num_epochs': 2}
    prepare(tmp_path / 'job', {'Default': (frames, {})}, training=training)
    result = result_of(tmp_path / 'job', start(tmp_path / 'job', mace_python))
    assert (result['status'], result['model'], result['elements']) == ('ok', 'AtomicDielectricMACE', ['H', 'O'])
    assert result['heads'] == [{'name': 'Default', 'e0': {}}]
    assert result['models']['compiled'] is None
    assert set(result['errors']['Default']['valid']) == {'dipole_rmse', 'polarizability_rmse'}


@pytest.mark.parametrize(
    ('status', 'errors', 'kind', 'message'),
    [
        (1, (RECORDED / 'out_of_memory' / 'mace.err').read_text(), 'out_of_memory', 'smaller batches need less'),
        (-9, 'a warning', 'killed', 'killed by SIGKILL .out of memory, or by the scheduler.*; so far'),
        (1, "ValueError: None of 'a', 'b', and 'c' found in 'data/x.xyz'.", 'labels_dropped', 'found no labels'),
        (1, "ModuleNotFoundError: No module named 'schedulefree'", 'missing_package', 'schedulefree'),
        (2, 'run_train.py: error: unrecognized arguments: --foo=1', 'no_result', 'status 2: .*--foo=1; so far'),
    ],
)
def test_cause_of_a_failure(status, errors, kind, message):
    with pytest.raises(TaskError, match=message) as caught:
        mace_train._fail(status, errors, 'so far')
    assert caught.value.kind == kind


def test_end_without_a_model_is_no_result(tmp_path):
    (tmp_path / 'mace.out').write_text((RECORDED / 'good' / 'mace.out').read_text())
    with pytest.raises(TaskError, match='has not written its model to the end'):
        mace_train._check_finished(tmp_path)


def test_walltime_stops_the_program(tmp_path, copper_frames, without_mace, monkeypatch):
    stand_in = 'import time; time.sleep(60)'
    monkeypatch.setattr(mace_train, 'PROGRAM', ('-c', stand_in))
    prepare(tmp_path / 'job', {'Default': (copper_frames, E0)}, max_seconds=2.0)
    result = run_task(tmp_path / 'job')
    assert result['kind'] == 'walltime'
    assert 'no epoch of 3 was done; no checkpoint is kept' in result['message']
    assert result['seconds'] < 10


def test_finish_needs_a_checkpoint(tmp_path, copper_frames, without_mace):
    prepare(tmp_path / 'job', {'Default': (copper_frames, E0)}, finish=True)
    assert '"finish" needs a "checkpoint"' in run_task(tmp_path / 'job')['message']


@pytest.mark.parametrize(
    ('name', 'kind', 'message'),
    [
        ('potential_run-4_epoch-2.pt', 'bad_input', 'its name must begin with potential_run-3_epoch-'),
        ('potential_run-3_epoch-2.pt', 'checkpoint_ignored', 'is damaged: train from the start'),
    ],
)
def test_checkpoint_that_cannot_be_used(tmp_path, copper_frames, without_mace, name, kind, message):
    prepare(tmp_path / 'job', {'Default': (copper_frames, E0)}, checkpoint=name)
    (whole,) = (RECORDED / 'killed' / 'restart').glob('*.pt')
    (tmp_path / 'job' / name).write_bytes(whole.read_bytes()[:-100])
    result = run_task(tmp_path / 'job')
    assert result['kind'] == kind
    assert message in result['message']


def test_checkpoint_of_stage_two_serves_for_stage_one(tmp_path):
    (whole,) = (RECORDED / 'killed' / 'restart').glob('*.pt')
    name = 'potential_run-3_epoch-8_swa.pt'
    (tmp_path / name).write_bytes(whole.read_bytes())
    config = mace_train.MaceTraining(start_stage_two=6)
    assert mace_train._place_checkpoint(tmp_path, name, 3, config) == 8
    assert sorted(path.name for path in (tmp_path / 'checkpoints').iterdir()) == ['potential_run-3_epoch-5.pt', name]
