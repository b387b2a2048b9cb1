from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from aiida_traincraft.science.errors import TaskError
from aiida_traincraft.science.training.mace.log import (
    OUT_OF_MEMORY,
    last_words,
    newest_checkpoint,
    progress_line,
    read_errors,
    read_labels,
    read_results,
    read_row,
)
from aiida_traincraft.science.training.mace.watch import TrainingWatch, is_whole

RECORDED = Path(__file__).parents[3] / 'recorded' / 'mace_train'
RESULTS = 'results/potential_run-3_train.txt'


def text(case, name):
    return (RECORDED / case / name).read_text()


def result(case):
    return json.loads(text(case, 'result.json'))


def watch(tmp_path, case, resumed=None):
    """Watch of a recorded run, as if it had just ended."""
    shutil.copytree(RECORDED / case, tmp_path / 'run')
    shutil.rmtree(tmp_path / 'run' / 'restart', ignore_errors=True)
    parameters = json.loads(text(case, 'task.json'))['parameters']
    return TrainingWatch(tmp_path / 'run', 'mace.out', 3, parameters['heads'], 4, resumed)


def test_results_of_two_heads():
    rows = read_results(text('two_heads', RESULTS))
    assert [(row['epoch'], row['head']) for row in rows[:3]] == [(0, 'shifted'), (0, 'emt'), (1, 'shifted')]
    assert set(rows[0]) == {'epoch', 'head', 'loss', 'energy_rmse', 'forces_rmse', 'stress_rmse'}
    assert rows == result('two_heads')['history']


def test_results_of_a_dielectric_model():
    rows = read_results(text('dielectric', RESULTS))
    assert set(rows[0]) == {'epoch', 'head', 'loss', 'dipole_rmse', 'polarizability_rmse'}


def test_numbers_that_are_not_finite_and_half_a_line():
    first = text('nan_energy', RESULTS).splitlines()[0]
    row = read_row(first)
    assert (row['epoch'], row['loss'], row['energy_rmse']) == (None, None, None)
    assert row['stress_rmse'] > 0
    assert read_row(first[:100]) is None
    assert read_results('') == []


def test_labels_that_were_read():
    found = read_labels(text('two_heads', 'mace.out'))
    sent = {head['name']: head['counts'] for head in json.loads(text('two_heads', 'task.json'))['parameters']['heads']}
    for name, counts in sent.items():
        for split in ('train', 'valid'):
            assert found[name][split] == {key: counts[split][key] for key in found[name][split]}
    assert read_labels(text('dielectric', 'mace.out'))['Default']['train']['dipole'] == 13
    assert read_labels('') == {}


def test_error_table_is_of_the_last_stage_and_in_si():
    stage, epoch, errors = read_errors(text('two_heads', 'mace.out'))
    assert (stage, epoch, set(errors)) == ('two', 3, {'emt', 'shifted'})
    last = read_results(text('two_heads', RESULTS))[-1]
    for key in ('energy_rmse', 'forces_rmse', 'stress_rmse'):
        assert errors['emt']['valid'][key] == pytest.approx(last[key], abs=1e-4)
    best = min(result('good')['history'], key=lambda row: row['loss'])
    assert read_errors(text('good', 'mace.out'))[:2] == ('one', best['epoch'])
    assert set(read_errors(text('dielectric', 'mace.out'))[2]['Default']['train']) == {
        'dipole_rmse',
        'polarizability_rmse',
    }
    assert read_errors(text('killed', 'mace.out')) is None


def test_progress_has_units():
    line = progress_line(read_results(text('good', RESULTS))[1], 4)
    assert line.startswith('epoch 1 of 4, head Default: loss ')
    assert 'meV/atom' in line
    assert 'meV/Å³' in line


def test_memory_error_is_known_by_its_words():
    errors = text('out_of_memory', 'mace.err')
    assert OUT_OF_MEMORY.search(last_words(errors))
    assert OUT_OF_MEMORY.search('torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.')
    assert not OUT_OF_MEMORY.search(text('good', 'mace.err'))


def test_newest_checkpoint_is_of_the_last_stage(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    for name in ('a_run-1_epoch-9.pt', 'a_run-1_epoch-10.pt', 'a_run-1.model', 'a_run-1_epoch-11.pt.partial'):
        (tmp_path / name).touch()
    assert newest_checkpoint(tmp_path).name == 'a_run-1_epoch-10.pt'
    (tmp_path / 'a_run-1_epoch-2_swa.pt').touch()
    assert newest_checkpoint(tmp_path).name == 'a_run-1_epoch-2_swa.pt'


def test_watch_of_a_good_run(tmp_path, capsys):
    found = watch(tmp_path, 'two_heads')
    found.look()
    found.check_complete()
    assert found.history == result('two_heads')['history']
    assert found.labels == result('two_heads')['labels_read']
    assert len(capsys.readouterr().out.splitlines()) == len(found.history)
    found.look()
    assert len(found.history) == 8


@pytest.mark.parametrize(
    ('case', 'resumed', 'kind', 'message'),
    [
        ('labels_dropped', None, 'labels_dropped', 'head "Default", train set: stress sent 18, read by MACE 15'),
        ('nan_energy', None, 'bad_input', 'before training: check the labels'),
        ('good', 7, 'checkpoint_ignored', 'MACE began with epoch 0, not with 7 of the checkpoint'),
    ],
)
def test_watch_stops_what_is_useless(tmp_path, case, resumed, kind, message):
    found = watch(tmp_path, case, resumed)
    with pytest.raises(TaskError, match=message) as caught:
        found.look()
    assert caught.value.kind == kind


def test_silence_about_labels_is_no_success(tmp_path):
    found = watch(tmp_path, 'good')
    found.log.write_text('')
    found.look()
    with pytest.raises(TaskError, match='MACE does not say what it read of head "Default"'):
        found.check_complete()


def test_copies_of_checkpoints_are_whole(tmp_path):
    found = watch(tmp_path, 'good')
    (newest,) = (RECORDED / 'killed' / 'restart').glob('*.pt')
    whole = newest.read_bytes()
    checkpoints, restart = found.folder / 'checkpoints', found.folder / 'restart'
    checkpoints.mkdir()
    (checkpoints / 'potential_run-3_epoch-1.pt').write_bytes(whole)
    found.look()
    assert [path.name for path in restart.iterdir()] == ['potential_run-3_epoch-1.pt']
    # MACE is in the middle of the next one.
    (checkpoints / 'potential_run-3_epoch-2.pt').write_bytes(whole[:-100])
    found.look()
    assert [path.name for path in restart.iterdir()] == ['potential_run-3_epoch-1.pt']
    (checkpoints / 'potential_run-3_epoch-2.pt').write_bytes(whole)
    found.look()
    assert [path.name for path in restart.iterdir()] == ['potential_run-3_epoch-2.pt']
    assert is_whole(restart / 'potential_run-3_epoch-2.pt')
