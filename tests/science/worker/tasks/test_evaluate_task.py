from __future__ import annotations

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_traincraft.science.config.training.pace_linear import PaceLinearTraining
from aiida_traincraft.science.structure import Structure, read_frames, write_frames
from aiida_traincraft.science.training.ace.linear import fit_linear, save_potential
from aiida_traincraft.science.worker.main import run_task

pytest.importorskip('pyace')

E0 = {'Cu': 3.51}


@pytest.mark.parametrize('active_set', [False, True])
def test_task_scores_a_potential(tmp_path, copper_frames, active_set):
    config = PaceLinearTraining(functions=20, cutoff=5.0)
    fit = fit_linear(copper_frames, config, E0, seed=1, report=lambda line: None)
    save_potential(fit, tmp_path / 'potential.yaml', config, E0)
    write_frames(tmp_path / 'dataset.frames', copper_frames)
    if active_set:
        parameters = {'e0': E0, 'gamma_lo': 2.0, 'seed': 0}
        (tmp_path / 'task.json').write_text(json.dumps({'task': 'pace_activeset', 'parameters': parameters}))
        assert run_task(tmp_path)['status'] == 'ok'
    lone = Structure(Atoms('Cu'), {'energy': 3.51, 'forces': [[0.0, 0.0, 0.0]]}, {'system': 'atom'})
    foreign = Structure(bulk('Al'), {'energy': 0.0, 'forces': [[0.0, 0.0, 0.0]]})
    write_frames(tmp_path / 'dataset.frames', [*copper_frames, lone, foreign])
    parameters = {'potential': {'type': 'pace', 'e0': E0, 'active_set': active_set}}
    (tmp_path / 'task.json').write_text(json.dumps({'task': 'evaluate', 'parameters': parameters}))
    result = run_task(tmp_path)
    assert result['status'] == 'ok'
    assert set(result['per_system']) == {'bulk', 'atom'}
    assert result['per_system']['bulk']['forces']['rmse'] == pytest.approx(fit.train.force_rmse, rel=1e-6)
    assert result['per_system']['bulk']['energy']['rmse'] == pytest.approx(fit.train.energy_rmse, rel=1e-6)
    assert result['per_system']['atom']['stress']['rmse'] is None
    assert result['n_failed'] == 1
    assert 'no Al; it knows Cu' in result['rows'][-1]['reason']
    gammas = [row['max_uncertainty'] for row in result['rows'][:30]]
    assert all(gamma <= 1.02 for gamma in gammas) if active_set else gammas == [None] * 30
    assert result['rows'][30]['max_uncertainty'] is None
    predictions = read_frames(tmp_path / 'predictions.frames')
    assert [frame.provenance for frame in predictions] == [frame.provenance for frame in [*copper_frames, lone]]
    expected = {'energy', 'forces', 'stress', *(['uncertainty'] if active_set else [])}
    assert all(frame.properties.keys() == expected for frame in predictions[:30])
    errors = [
        (predicted.properties['energy'] - frame.properties['energy']) / len(frame)
        for predicted, frame in zip(predictions[:30], copper_frames, strict=True)
    ]
    assert errors == pytest.approx([row['energy_error'] for row in result['rows'][:30]])
    if active_set:
        assert np.isinf(predictions[30].properties['uncertainty']).all()
