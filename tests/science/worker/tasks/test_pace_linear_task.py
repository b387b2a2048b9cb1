from __future__ import annotations

import json

import pytest

from aiida_traincraft.science.structure import write_frames
from aiida_traincraft.science.worker.main import run_task

pytest.importorskip('pyace')


def prepare(folder, frames, **training):
    write_frames(folder / 'dataset.frames', frames)
    parameters = {'training': {'type': 'pace_linear', 'cutoff': 5.0, **training}, 'e0': {'Cu': 3.51}, 'seed': 1}
    (folder / 'task.json').write_text(json.dumps({'task': 'pace_linear', 'parameters': parameters}))


def test_task_writes_potential_and_metrics(tmp_path, copper_frames):
    prepare(tmp_path, copper_frames, max_functions=30)
    result = run_task(tmp_path)
    assert (result['status'], result['n_functions'], result['n_structures']) == ('ok', {'Cu': 30}, 30)
    assert result['elements'] == ['Cu']
    assert 0 < result['train']['force_rmse'] < 0.05
    assert sorted(result['noise']) == ['energy', 'forces', 'stress']
    assert (result['ridge'], result['scan']) == (None, [])
    assert 1.5 < result['shortest']['Cu-Cu'] < 2.6
    assert (tmp_path / 'potential.yaml').is_file()


def test_bad_training_set_is_bad_input(tmp_path, copper_frames):
    prepare(tmp_path, copper_frames[:1])
    result = run_task(tmp_path)
    assert result['kind'] == 'bad_input'
    assert 'only 8 atoms of Cu' in result['message']
