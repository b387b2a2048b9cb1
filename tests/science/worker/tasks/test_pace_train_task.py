from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from aiida_traincraft.science.baselines import make_baseline
from aiida_traincraft.science.models.ace import PaceCalculator
from aiida_traincraft.science.models.ace_file import load_basis
from aiida_traincraft.science.structure import write_extxyz
from aiida_traincraft.science.training.ace.pacemaker import read_metrics
from aiida_traincraft.science.worker.main import run_task
from aiida_traincraft.science.worker.tasks import pace_train

pytest.importorskip('pyace')

E0 = {'Cu': 3.51}
TRAINING = {
    'type': 'pace',
    'functions': 10,
    'cutoff': 5.0,
    'maxiter': 5,
    'display_step': 2,
    'batch_size': 4,
}
SOURCE = Path(pace_train.__file__).parents[4]


def prepare(folder, frames, training=TRAINING, start='warm', max_seconds=None, test=()):
    write_extxyz(folder / 'dataset.extxyz', frames)
    if test:
        write_extxyz(folder / 'test.extxyz', test)
    parameters = {'training': training, 'e0': E0, 'seed': 3, 'max_seconds': max_seconds, 'start': start}
    (folder / 'task.json').write_text(json.dumps({'task': 'pace_train', 'parameters': parameters}))


def start_worker(folder, python):
    environment = os.environ | {'PYTHONPATH': str(SOURCE), 'OMP_NUM_THREADS': '1'}
    command = [str(python), '-c', 'from aiida_traincraft.science.worker.main import main; raise SystemExit(main())']
    with (folder / 'worker.out').open('w') as out:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT)


def run_in(folder, python):
    start_worker(folder, python).wait()
    return json.loads((folder / 'result.json').read_text())


def energy_rmse(folder, frames):
    """Of the calculator, per atom (eV)."""
    calculator, errors = PaceCalculator(folder / 'potential.yaml', E0), []
    for frame in frames:
        atoms = frame.atoms.copy()
        atoms.calc = calculator
        errors.append((atoms.get_potential_energy() - frame.properties['energy']) / len(atoms))
    return np.sqrt(np.mean(np.square(errors)))


def test_missing_tensorpot_says_what_to_install(tmp_path, copper_frames, monkeypatch):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None if name.startswith('tensor') else found(name))
    prepare(tmp_path, copper_frames[:12])
    result = run_task(tmp_path)
    assert result['kind'] == 'missing_package'
    assert 'tensorflow and tensorpotential not installed' in result['message']
    assert 'pip install' in result['message']


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'start': 'hot'}, "start is 'hot', allowed: warm, initial, cold, continue"),
        ({'start': 'initial'}, 'initial.yaml does not exist'),
        ({'nan': True}, 'structure 2 .*energy is not finite'),
    ],
)
def test_bad_input_is_found_before_pacemaker_starts(tmp_path, copper_frames, monkeypatch, change, message):
    monkeypatch.setattr(pace_train, '_pacemaker', lambda: ['false'])
    frames = [frame.copy() for frame in copper_frames[:6]]
    if change.pop('nan', False):
        frames[2].properties['energy'] = float('nan')
    prepare(tmp_path, frames, **change)
    result = run_task(tmp_path)
    assert result['kind'] == 'bad_input'
    with pytest.raises(ValueError, match=message):
        raise ValueError(result['message'])


LJ = {'type': 'lj', 'pairs': {'Cu-Cu': {'epsilon': 0.1, 'sigma': 2.3}}, 'cutoff': 5.0}


@pytest.mark.parametrize('baseline', [LJ, 'lj'])
def test_pacemaker_is_given_what_the_baseline_leaves(tmp_path, copper_frames, monkeypatch, baseline):
    pandas = pytest.importorskip('pandas')
    monkeypatch.setattr(pace_train, '_pacemaker', lambda: ['false'])
    prepare(tmp_path, copper_frames[:6], training=TRAINING | {'baseline': baseline}, test=copper_frames[6:8])
    assert run_task(tmp_path)['kind'] == 'no_result'
    kept = json.loads((tmp_path / 'baseline.json').read_text())
    assert kept == LJ or baseline == 'lj'
    calculator = make_baseline(kept)
    for name, frames in (('train', copper_frames[:6]), ('test', copper_frames[6:8])):
        table = pandas.read_pickle(tmp_path / f'{name}.pckl.gzip', compression='gzip')
        for (_, row), frame in zip(table.iterrows(), frames, strict=True):
            atoms = frame.atoms.copy()
            atoms.calc = calculator
            left = frame.properties['energy'] - len(frame) * E0['Cu'] - atoms.get_potential_energy()
            assert row['energy_corrected'] == pytest.approx(left, abs=1e-6)
            assert np.allclose(row['forces'], frame.properties['forces'] - atoms.get_forces(), atol=1e-6)


@pytest.mark.parametrize(
    ('asked', 'stored', 'refused'),
    [
        ('lj', LJ, False),
        (LJ, LJ, False),
        ('zbl', LJ, True),
        (LJ, {'type': 'none'}, True),
        ('none', {'type': 'zbl'}, False),
    ],
)
@pytest.mark.parametrize('start', ['initial', 'continue'])
def test_a_fit_goes_on_with_the_baseline_that_it_began_with(
    tmp_path, copper_frames, monkeypatch, asked, stored, refused, start
):
    monkeypatch.setattr(pace_train, '_pacemaker', lambda: ['false'])
    prepare(tmp_path, copper_frames[:6], training=TRAINING | {'baseline': asked}, start=start)
    task = json.loads((tmp_path / 'task.json').read_text())
    task['parameters']['baseline'] = stored
    (tmp_path / 'task.json').write_text(json.dumps(task))
    result = run_task(tmp_path)
    assert ('was trained with the baseline' in result['message']) == refused
    if not refused:
        assert 'initial.yaml does not exist' in result['message']
        begun = json.loads((tmp_path / 'baseline.json').read_text())
        assert begun == (LJ if stored == LJ else {'type': asked})


def test_failure_of_the_program_gives_its_last_words(tmp_path, copper_frames, monkeypatch):
    failing = [sys.executable, '-c', 'raise RuntimeError("basis too large")']
    monkeypatch.setattr(pace_train, '_pacemaker', lambda: failing)
    prepare(tmp_path, copper_frames[:6])
    result = run_task(tmp_path)
    assert result['kind'] == 'no_result'
    assert 'status 1 and no potential: RuntimeError: basis too large' in result['message']


def test_loss_that_is_not_finite_is_no_result(tmp_path, copper_frames, monkeypatch):
    program = 'open("metrics.txt", "w").write("iter_num loss rmse_epa rmse_f_comp mae_f_comp\\n0 nan nan nan nan\\n")'
    monkeypatch.setattr(pace_train, '_pacemaker', lambda: [sys.executable, '-c', program])
    prepare(tmp_path, copper_frames[:6])
    assert run_task(tmp_path)['kind'] == 'not_finite'


@pytest.mark.long
def test_warm_fit_then_refinement(tmp_path, copper_frames, pacemaker_python):
    warm = tmp_path / 'warm'
    warm.mkdir()
    prepare(warm, copper_frames[:12], test=copper_frames[12:16])
    result = run_in(warm, pacemaker_python)
    assert (result['status'], result['end'], result['n_functions']) == ('ok', 'finished', {'Cu': 10})
    train, test = result['history']['train'], result['history']['test']
    assert [row['iteration'] for row in train] == [0, 1, 2, 3, 4, 5]
    assert train[-1]['loss'] < train[0]['loss'] < 0.1
    assert test[-1]['force_rmse'] < 0.2
    assert train[-1]['energy_rmse'] == pytest.approx(energy_rmse(warm, copper_frames[:12]), rel=1e-4)
    assert load_basis(warm / 'potential.yaml').ndensitymax == 2

    refined = tmp_path / 'refined'
    refined.mkdir()
    (refined / 'initial.yaml').write_bytes((warm / 'potential.yaml').read_bytes())
    prepare(refined, copper_frames[:12], start='initial')
    history = run_in(refined, pacemaker_python)['history']['train']
    assert history[0]['loss'] == pytest.approx(train[-1]['loss'], rel=1e-6)
    assert history[-1]['loss'] < history[0]['loss']


@pytest.mark.slow
def test_keys_of_the_input_have_their_effect(tmp_path, copper_frames, pacemaker_python):
    training = TRAINING | {
        'warm_start': 'none',
        'fs_parameters': [1.0, 1.0],
        'optimizer': 'L-BFGS-B',
        'maxiter': 2,
        'kappa': 1.0,
        'l1': 0.0,
        'l2': 0.0,
        'baseline': 'none',
        'cutoff': 4.5,
        'weighting': {'type': 'energy_based'},
    }
    prepare(tmp_path, copper_frames[:8], training=training, start='cold')
    result = run_in(tmp_path, pacemaker_python)
    assert result['cutoff'] == 4.5
    log = (tmp_path / 'log.txt').read_text()
    assert 'EnergyBasedWeightingPolicy' in log
    # The message of L-BFGS-B; BFGS words it otherwise.
    assert 'TOTAL NO. OF ITERATIONS REACHED LIMIT' in log
    block = load_basis(tmp_path / 'potential.yaml').to_BBasisConfiguration().funcspecs_blocks[0]
    assert (block.ndensityi, block.inner_cutoff_type) == (1, 'distance')
    header, first = (line.split() for line in (tmp_path / 'metrics.txt').read_text().splitlines()[:2])
    row = dict(zip(header, first, strict=True))
    # kappa = 1 leaves no energy in the loss, and without L1 and L2 it is the forces alone.
    assert float(row['e_loss_contrib']) == 0.0
    assert float(row['reg_loss']) == 0.0
    # What pacemaker reports is what the calculator gives, E0 included.
    reported = result['history']['train'][-1]['energy_rmse']
    assert reported == pytest.approx(energy_rmse(tmp_path, copper_frames[:8]), rel=1e-4)


@pytest.mark.slow
def test_kill_is_told_from_failure_and_walltime_from_the_end(tmp_path, copper_frames, pacemaker_python):
    killed, continued = tmp_path / 'killed', tmp_path / 'continued'
    killed.mkdir()
    long = TRAINING | {'maxiter': 5000, 'functions': 30}
    prepare(killed, copper_frames[:12], training=long)
    begin = time.monotonic()
    worker = start_worker(killed, pacemaker_python)
    while not (killed / 'interim_potential_0.yaml').exists():
        assert worker.poll() is None
        time.sleep(0.2)
    # What this machine needs for TensorFlow and the first steps.
    needed = time.monotonic() - begin
    children = Path(f'/proc/{worker.pid}/task/{worker.pid}/children').read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    worker.wait()
    result = json.loads((killed / 'result.json').read_text())
    assert result['kind'] == 'killed'
    assert 'killed by SIGKILL' in result['message']
    reached = read_metrics((killed / 'metrics.txt').read_text())[-1]['loss']

    continued.mkdir()
    (continued / 'initial.yaml').write_bytes((killed / 'interim.yaml').read_bytes())
    # A machine may be busier than it was a moment ago.
    for factor in (1.5, 3, 6, 12):
        limit = factor * needed + 5
        prepare(continued, copper_frames[:12], training=long, start='continue', max_seconds=limit)
        result = run_in(continued, pacemaker_python)
        if result.get('kind') != 'walltime':
            break
    assert (result['status'], result['end']) == ('ok', 'walltime')
    assert result['seconds'] < limit
    assert not (continued / 'potential.yaml').exists()
    assert load_basis(continued / 'interim.yaml').ndensitymax == 2
    assert result['history']['train'][0]['loss'] == pytest.approx(reached, rel=0.2)


@pytest.mark.long
def test_ladder_grows_and_is_continued(tmp_path, copper_frames, pacemaker_python):
    training = TRAINING | {'warm_start': 'none', 'ladder': {'step': 5}, 'maxiter': 2}
    start = pace_train.PaceNonlinearTraining.model_validate(training | {'functions': 5})
    small = pace_train.basis_config(start, ['Cu'], 5)
    small.save(str(tmp_path / 'initial.yaml'))
    prepare(tmp_path, copper_frames[:8], training=training, start='continue')
    result = run_in(tmp_path, pacemaker_python)
    assert result['n_functions'] == {'Cu': 10}
