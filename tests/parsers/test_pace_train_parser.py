"""What real pacemaker runs left behind: finished, stopped, killed and failed ones."""

from __future__ import annotations

import json
import shutil

import pytest
from aiida import orm
from ase.build import bulk

from aiida_traincraft.data.dataset import DatasetData

KEPT = ('result.json', 'input.yaml', 'log.txt', 'metrics.txt', 'test_metrics.txt')
E0 = {'Cu': 3.51, 'Al': 3.28}


@pytest.fixture
def case(make_job, parse, recorded, tmp_path):
    """Function that parses a recorded case, without the files named and with further big files."""

    def run(name, without=(), baseline=None, **files):
        source = recorded / 'pace_train' / name
        kept = {file: (source / file).read_text() for file in KEPT if (source / file).is_file() and file not in without}
        kept |= {f'traincraft.{end}': (source / f'std{end}.txt').read_text() for end in ('out', 'err') if not without}
        for file in ('potential.yaml', 'interim.yaml'):
            if (source / file).is_file() and file not in without:
                shutil.copy(source / file, tmp_path)
        if baseline is not None:
            kept['baseline.json'] = json.dumps(baseline)
        for file, content in files.items():
            (tmp_path / f'{file}.yaml').write_text(content)
        training = {'type': 'pace', 'cutoff': 5.0, 'baseline': 'zbl'}
        inputs = {
            'parameters': orm.Dict({'training': training, 'start': 'warm', 'seed': 3}),
            'dataset': DatasetData([], ['emt'], E0),
        }
        return parse(make_job('pace_train', inputs, kept), tmp_path)

    return run


def test_finished(case):
    parsed = case('finished')
    assert parsed.status == 0
    assert set(parsed.outputs) == {'potential', 'history', 'summary'}
    history = parsed.outputs['history'].get_dict()
    assert [row['iteration'] for row in history['train']] == list(range(len(history['train'])))
    assert history['train'][-1]['loss'] < history['train'][0]['loss']
    assert all(row['force_rmse'] > 0 for row in history['test'])
    potential = parsed.outputs['potential']
    assert potential.metrics['end'] == 'finished'
    assert 'history' not in potential.metrics
    assert potential.e0 == E0
    assert 'history' not in parsed.outputs['summary'].get_dict()


def test_the_potential_of_a_finished_fit_works(case):
    pytest.importorskip('pyace')
    potential = case('finished').outputs['potential'].store()
    atoms = bulk('Cu', cubic=True)
    atoms.calc = potential.get_calculator()
    assert -1.0 < atoms.get_potential_energy() / 4 < 1.0


def test_out_of_walltime_keeps_the_interim_potential(case):
    parsed = case('walltime')
    assert parsed.status == 400
    assert set(parsed.outputs) == {'interim', 'history', 'summary'}
    assert parsed.outputs['interim'].metrics['end'] == 'walltime'
    assert len(parsed.outputs['history']['train']) > 10


@pytest.mark.parametrize(
    ('name', 'output'), [('finished', 'potential'), ('walltime', 'interim'), ('killed', 'interim')]
)
def test_the_baseline_that_was_fitted_is_kept_however_it_ended(case, name, output):
    baseline = {'type': 'lj', 'pairs': {'Cu-Cu': {'epsilon': 0.1, 'sigma': 2.2}}, 'cutoff': 5.0}
    assert case(name, baseline=baseline).outputs[output].baseline == baseline
    assert case(name).outputs[output].baseline == {'type': 'zbl'}


def test_killed_keeps_the_interim_potential(case):
    parsed = case('killed')
    assert parsed.status == 312
    assert 'SIGKILL' in parsed.message
    assert {'interim', 'history'} <= parsed.outputs.keys()
    assert 'potential' not in parsed.outputs


@pytest.mark.parametrize(
    ('name', 'status', 'words'),
    [
        ('failed', 310, 'Specified potential shape is too big'),
        ('missing_tensorpot', 301, 'pip install'),
        ('nan_energy', 302, 'energy is not finite'),
        ('walltime_too_short', 400, 'raise the walltime'),
    ],
)
def test_nothing_to_keep(case, name, status, words):
    parsed = case(name)
    assert parsed.status == status
    assert words in parsed.message
    assert not {'potential', 'interim'} & parsed.outputs.keys()


def test_a_job_killed_before_its_result_keeps_a_whole_interim_potential(case, recorded):
    text = (recorded / 'pace_train' / 'walltime' / 'interim.yaml').read_text()
    gone = ('result.json', 'interim.yaml')
    parsed = case('walltime', gone, interim_potential_0=text, target_potential=text)
    assert parsed.status == 300
    assert parsed.outputs['interim'].base.repository.get_object_content('potential.yaml') == text
    assert len(parsed.outputs['history']['train']) > 10


def test_a_truncated_interim_potential_is_not_kept(case, recorded):
    text = (recorded / 'pace_train' / 'walltime' / 'interim.yaml').read_text()
    half = ''.join(text.splitlines(keepends=True)[:-2])
    gone = ('result.json', 'interim.yaml')
    parsed = case('walltime', gone, interim_potential_0=half, target_potential=text)
    assert parsed.status == 300
    assert 'interim' not in parsed.outputs
    assert 'history' in parsed.outputs


def test_a_potential_that_is_missing(case):
    parsed = case('finished', ('potential.yaml',))
    assert parsed.status == 303
    assert 'potential' not in parsed.outputs


def test_garbage_in_the_metrics_costs_only_the_history(case, recorded, make_job, parse, tmp_path):
    source = recorded / 'pace_train' / 'finished'
    shutil.copy(source / 'potential.yaml', tmp_path)
    inputs = {
        'parameters': orm.Dict({'training': {'cutoff': 5.0, 'baseline': 'zbl'}}),
        'dataset': DatasetData([], ['emt'], E0),
    }
    files = {'result.json': (source / 'result.json').read_text(), 'metrics.txt': 'not a table\x00 at all\n1 2 3\n'}
    parsed = parse(make_job('pace_train', inputs, files), tmp_path)
    assert parsed.status == 0
    assert 'potential' in parsed.outputs
