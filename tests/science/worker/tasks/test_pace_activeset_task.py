from __future__ import annotations

import json

import numpy as np
import pytest
from ase.build import bulk

from aiida_traincraft.science.config.training.pace_linear import PaceLinearTraining
from aiida_traincraft.science.models.ace import PaceCalculator
from aiida_traincraft.science.models.ace_check import check_fast
from aiida_traincraft.science.structure import Structure, write_frames
from aiida_traincraft.science.training.ace.linear import fit_linear, save_potential
from aiida_traincraft.science.worker.main import run_task

pytest.importorskip('pyace')

E0 = {'Cu': 3.51}


@pytest.fixture(scope='module')
def potential(tmp_path_factory, copper_frames):
    path = tmp_path_factory.mktemp('fit') / 'potential.yaml'
    config = PaceLinearTraining(functions=40, cutoff=5.0)
    save_potential(fit_linear(copper_frames, config, E0, seed=1, report=lambda line: None), path, config, E0)
    return path


def run(folder, potential, frames):
    (folder / 'potential.yaml').write_bytes(potential.read_bytes())
    write_frames(folder / 'dataset.frames', frames)
    parameters = {'e0': E0, 'gamma_lo': 2.0, 'seed': 0}
    (folder / 'task.json').write_text(json.dumps({'task': 'pace_activeset', 'parameters': parameters}))
    return run_task(folder)


def test_active_set_fast_potential_and_descriptors(tmp_path, potential, copper_frames):
    result = run(tmp_path, potential, copper_frames)
    assert (result['status'], result['degenerate'], result['message']) == ('ok', False, '')
    assert 0.3 < result['gamma_rattled'] < 5
    with np.load(tmp_path / 'descriptors.npz') as archive:
        assert archive['descriptors'].shape == (30, 40)
    assert check_fast(tmp_path / 'potential.yace') == [3.51]
    calculator = PaceCalculator(tmp_path / 'potential.yaml', E0, tmp_path / 'potential.asi')
    assert max(calculator.gamma(frame.atoms).max() for frame in copper_frames) <= 1.02


def test_perfect_crystals_give_a_degenerate_set(tmp_path, potential):
    frames = [Structure(bulk('Cu', a=a, cubic=True)) for a in np.linspace(3.3, 4.0, 20)]
    result = run(tmp_path, potential, frames)
    assert result['status'] == 'ok'
    assert result['degenerate']
    assert result['gamma_rattled'] > 1e3
    assert 'fewer directions than the basis has functions' in result['message']


def test_too_few_atoms_are_counted(tmp_path, potential, copper_frames):
    result = run(tmp_path, potential, copper_frames[:4])
    assert result['kind'] == 'bad_input'
    assert 'Cu: 24 atoms, 40 functions' in result['message']
