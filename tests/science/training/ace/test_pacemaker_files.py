from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from aiida_traincraft.science.config.training.pace import PaceNonlinearTraining
from aiida_traincraft.science.training.ace.pacemaker import pacemaker_input, read_log, read_metrics, write_data

pytest.importorskip('pyace')

RECORDED = Path(__file__).parents[3] / 'recorded' / 'pace_train'


def test_input_names_every_option():
    config = PaceNonlinearTraining(kappa=0.5, l1=1e-7, l2=1e-6, maxiter=7, batch_size=3, display_step=4)
    content = pacemaker_input(config, ['Cu', 'Al'], 12, 5, 'train.pckl.gzip', 'test.pckl.gzip')
    assert content['fit'] == {
        'loss': {'kappa': 0.5, 'L1_coeffs': 1e-7, 'L2_coeffs': 1e-6},
        'optimizer': 'BFGS',
        'maxiter': 7,
    }
    assert content['backend'] == {'evaluator': 'tensorpot', 'batch_size': 3, 'display_step': 4}
    assert content['data'] == {'filename': 'train.pckl.gzip', 'test_filename': 'test.pckl.gzip'}
    assert content['potential']['elements'] == ['Al', 'Cu']
    assert content['potential']['embeddings']['ALL']['ndensity'] == 2
    assert content['potential']['functions']['number_of_functions_per_element'] == 12
    assert content['seed'] == 5


def test_start_weighting_and_ladder():
    config = PaceNonlinearTraining.model_validate(
        {'weighting': {'type': 'energy_based', 'DEup': 3.0}, 'ladder': {'step': 4}, 'warm_start': 'none'}
    )
    content = pacemaker_input(config, ['Cu'], 12, 5, 'train.pckl.gzip', start_file='start.yaml')
    assert content['potential'] == 'start.yaml'
    assert content['fit']['weighting']['type'] == 'EnergyBasedWeightingPolicy'
    assert content['fit']['weighting']['DEup'] == 3.0
    assert (content['fit']['ladder_step'], content['fit']['ladder_type']) == (4, 'body_order')
    assert 'test_filename' not in content['data']


def test_table_is_cohesive_and_weights_are_squared(tmp_path, copper_frames):
    pandas = pytest.importorskip('pandas')
    frames = [frame.copy() for frame in copper_frames[:2]]
    frames[1].provenance['weight'] = 3.0
    write_data(tmp_path / 'data.pckl.gzip', frames, {'Cu': 3.5}, 5.0)
    # Our own file, written a line ago.
    table = pandas.read_pickle(tmp_path / 'data.pckl.gzip', compression='gzip')
    assert list(table['w_factor']) == [1.0, 9.0]
    expected = frames[0].properties['energy'] - 3.5 * len(frames[0])
    assert table['energy_corrected'][0] == pytest.approx(expected)
    np.testing.assert_array_equal(table['forces'][1], frames[1].properties['forces'])


@pytest.mark.slow
def test_table_can_be_read_by_the_trainers_pandas(tmp_path, copper_frames, pacemaker_python):
    write_data(tmp_path / 'data.pckl.gzip', copper_frames[:3], {'Cu': 3.5}, 5.0)
    program = 'import pandas; print(len(pandas.read_pickle("data.pckl.gzip", compression="gzip")))'
    done = subprocess.run([pacemaker_python, '-c', program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '3'


def test_metrics_of_a_real_run():
    rows = read_metrics((RECORDED / 'finished' / 'metrics.txt').read_text())
    assert [row['iteration'] for row in rows] == list(range(len(rows)))
    assert rows[-1]['loss'] < rows[0]['loss']
    assert set(rows[0]) == {'iteration', 'loss', 'energy_rmse', 'force_rmse', 'force_mae'}


def test_metrics_with_nan_and_half_a_line():
    text = 'iter_num loss rmse_epa rmse_f_comp mae_f_comp\n0 1.5 0.1 0.2 0.1\n1 nan nan inf 0.1\n2 1.2 0.'
    rows = read_metrics(text)
    assert len(rows) == 2
    assert (rows[1]['loss'], rows[1]['force_rmse'], rows[1]['force_mae']) == (None, None, 0.1)
    assert read_metrics('') == []


def test_log_of_a_real_run_agrees_with_its_metrics():
    progress = read_log((RECORDED / 'finished' / 'log.txt').read_text())
    metrics = read_metrics((RECORDED / 'finished' / 'metrics.txt').read_text())
    train = {item['iteration']: item for item in progress if item['set'] == 'train'}
    assert any(item['set'] == 'test' for item in progress)
    for row in metrics:
        assert train[row['iteration']]['loss'] == pytest.approx(row['loss'], rel=1e-3)
        assert train[row['iteration']]['force_rmse'] == pytest.approx(row['force_rmse'], abs=1e-5)
