"""What real trainings of MACE left behind: finished, stopped, killed and refused ones."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest
from aiida import orm

from aiida_traincraft.data.dataset import DatasetData

KEPT = ('result.json', 'config.yml', 'mace.out', 'mace.err')
BASELINE = {'type': 'lj', 'pairs': {'Cu-Cu': {'epsilon': 0.1, 'sigma': 2.2}}, 'cutoff': 4.0}
BIG = ('potential.model', 'potential_compiled.model', 'descriptors.npy')


@pytest.fixture
def case(make_job, parse, recorded, tmp_path):
    """Function that parses a recorded case, without the files named."""

    def run(name, without=()):
        source = recorded / 'mace_train' / name
        kept = {file: (source / file).read_text() for file in KEPT if file not in without}
        kept |= {f'traincraft.{end}': (source / f'std{end}.txt').read_text() for end in ('out', 'err')}
        for file in BIG:
            if (source / file).is_file() and file not in without:
                shutil.copy(source / file, tmp_path)
        for folder in ('restart', 'results'):
            if (source / folder).is_dir():
                shutil.copytree(source / folder, tmp_path / folder)
        task = json.loads((source / 'task.json').read_text())['parameters']
        inputs = {'parameters': orm.Dict({'training': {'lammps': 'none'}}), 'seed': orm.Int(task['seed'])}
        inputs['heads'] = orm.Dict({'heads': task['heads'], 'baseline': BASELINE})
        for head in task['heads']:
            inputs[f'datasets__{head["name"]}'] = DatasetData([], [f'level of {head["name"]}'], head['e0'])
        return parse(make_job('mace_train', inputs, kept), tmp_path)

    return run


def test_finished(case):
    parsed = case('good')
    assert parsed.status == 0
    assert set(parsed.outputs) == {'potential', 'history', 'summary', 'descriptors'}
    potential = parsed.outputs['potential']
    assert (potential.elements, potential.cutoff, potential.dtype) == (['Cu'], 4.0, 'float32')
    assert potential.heads == [{'name': 'Default', 'e0': {'Cu': 3.51}, 'level_of_theory': 'level of Default'}]
    assert potential.metrics['errors']['Default']['valid']['forces_rmse'] == pytest.approx(0.148, abs=1e-3)
    assert potential.files == ['compiled_0.model', 'model_0.model']
    assert potential.baseline == potential.job_table()['baseline'] == BASELINE
    rows = parsed.outputs['history']['epochs']
    assert [row['epoch'] for row in rows] == sorted(row['epoch'] for row in rows)
    assert all(math.isfinite(row['forces_rmse']) for row in rows)
    assert np.isfinite(parsed.outputs['descriptors'].get_array('descriptors')).all()
    assert 'history' not in parsed.outputs['summary'].get_dict()


def test_errors_per_head(case):
    parsed = case('two_heads')
    # The model itself is not recorded: it is a failed job, with its curve kept.
    assert parsed.status == 303
    assert {row['head'] for row in parsed.outputs['history']['epochs']} == {'emt', 'shifted'}
    errors = parsed.outputs['summary']['errors']
    assert len(errors) == 2
    assert all('forces_rmse' in sets['valid'] for sets in errors.values())


def test_dipoles_and_polarizabilities(case):
    potential = case('dielectric').outputs['potential']
    assert potential.architecture == 'AtomicDielectricMACE'
    assert len(potential.elements) > 1
    assert potential.measure is None
    (errors,) = potential.metrics['errors'].values()
    assert {'dipole_rmse', 'polarizability_rmse'} <= errors['valid'].keys()


@pytest.mark.parametrize(
    ('name', 'status', 'words'),
    [
        ('walltime', 400, 'epoch'),
        ('killed', 312, 'SIGKILL'),
    ],
)
def test_what_was_stopped_leaves_its_checkpoint(case, recorded, name, status, words):
    parsed = case(name)
    assert parsed.status == status
    assert words in parsed.message
    checkpoint = parsed.outputs['checkpoint']
    (source,) = (recorded / 'mace_train' / name / 'restart').iterdir()
    assert checkpoint.filename == source.name
    assert checkpoint.get_content(mode='rb') == source.read_bytes()
    assert parsed.outputs['history']['epochs']


def test_a_job_that_could_not_report_leaves_its_checkpoint_too(case):
    parsed = case('killed', without=['result.json'])
    assert parsed.status == 300
    assert {'checkpoint', 'history'} <= parsed.outputs.keys()


@pytest.mark.parametrize(
    ('name', 'status', 'words'),
    [
        ('labels_dropped', 321, 'sent'),
        ('nan_energy', 302, 'check the labels'),
        ('out_of_memory', 320, 'smaller batches need less'),
        ('checkpoint_ignored', 322, 'epoch'),
    ],
)
def test_what_has_nothing_to_go_on_from(case, name, status, words):
    parsed = case(name)
    assert parsed.status == status
    assert words in parsed.message
    assert not {'potential', 'checkpoint'} & parsed.outputs.keys()


def test_a_model_that_is_missing(case):
    parsed = case('good', without=['potential.model'])
    assert parsed.status == 303
    assert 'potential' not in parsed.outputs
