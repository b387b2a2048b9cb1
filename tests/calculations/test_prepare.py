"""What each CalcJob writes into its folder, brings home, and keeps in the graph."""

from __future__ import annotations

import io
import json
import shutil

import pytest
from aiida import orm
from aiida.common.folders import SandboxFolder
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.plugins import CalculationFactory

from aiida_traincraft.calculations.science_zip import science_zip
from aiida_traincraft.data.frames.pool import FramesData
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.science.structure import read_extxyz, read_frames

ALWAYS = {'result.json', 'traincraft.out', 'traincraft.err'}


@pytest.fixture
def prepare(python_code, tmp_path):
    """Function that runs ``prepare_for_submission``; returns its CalcInfo and the folder that it wrote."""

    def run(entry_point, inputs, parameters=None, options=None):
        inputs = {'code': python_code, 'parameters': orm.Dict(parameters or {})} | inputs
        inputs['metadata'] = {'options': options or {}}
        process = instantiate_process(get_manager().get_runner(), CalculationFactory(entry_point), **inputs)
        with SandboxFolder() as sandbox:
            info = process.prepare_for_submission(sandbox)
            shutil.copytree(sandbox.abspath, tmp_path, dirs_exist_ok=True)
        return info, tmp_path

    return run


@pytest.fixture(scope='module')
def case_inputs(store_structures, copper_frames, copper_dataset, active_set):
    """Inputs of each CalcJob, the files it must write, what it keeps, and what becomes nodes."""
    potential = active_set.outputs.potential
    manifest = store_structures(copper_frames[:3])
    level = LevelOfTheoryData.get_or_create({'type': 'ase', 'calculator': {'type': 'emt'}})
    files = {'potential.yaml', 'potential.asi', 'potential.yace'}
    metrics = {'input.yaml', 'log.txt', 'metrics.txt', 'test_metrics.txt', 'baseline.json'}
    interim = {'potential.yaml', 'interim.yaml', 'interim_potential_0.yaml', 'target_potential.yaml'}
    return {
        'ase_label': (
            {'structures': manifest, 'level_of_theory': level},
            {'structures.frames'},
            set(),
            {'labels.frames', 'rows.jsonl'},
        ),
        'sample': (
            {'starts': manifest, 'potential': potential},
            {'structures.frames', *files},
            set(),
            {'frames.frames'},
        ),
        'pace_linear': ({'dataset': copper_dataset}, {'dataset.frames'}, set(), {'potential.yaml', 'posterior.npz'}),
        'pace_activeset': (
            {'dataset': copper_dataset, 'potential': potential},
            {'dataset.frames', 'potential.yaml'},
            set(),
            {'potential.asi', 'potential.yace', 'descriptors.npz'},
        ),
        'evaluate': (
            {'dataset': copper_dataset, 'potential': potential},
            {'dataset.frames', *files},
            set(),
            {'predictions.frames'},
        ),
        'pace_train': (
            {'dataset': copper_dataset, 'test_set': copper_dataset, 'initial': potential},
            {'dataset.extxyz', 'test.extxyz', 'initial.yaml'},
            metrics,
            interim,
        ),
    }


@pytest.mark.parametrize('name', ['ase_label', 'evaluate', 'pace_activeset', 'pace_linear', 'pace_train', 'sample'])
def test_files(prepare, case_inputs, name):
    inputs, written, kept, temporary = case_inputs[name]
    info, folder = prepare(f'traincraft.{name}', inputs, {'answer': 42}, {'max_wallclock_seconds': 600})
    assert {path.name for path in folder.iterdir()} == {'traincraft.zip', 'task.json', *written}
    assert set(info.retrieve_list) == ALWAYS | kept
    assert set(info.retrieve_temporary_list) == temporary
    # Whatever can be made again from the input nodes stays out of the graph.
    assert set(info.provenance_exclude_list) == written
    task = json.loads((folder / 'task.json').read_text())
    assert task['task'] == CalculationFactory(f'traincraft.{name}').TASK
    assert task['parameters']['answer'] == 42
    assert task['parameters']['max_seconds'] == 600
    assert (folder / 'traincraft.zip').read_bytes() == science_zip()
    (code,) = info.codes_info
    assert code.cmdline_params == ['traincraft.zip']
    assert (code.stdout_name, code.stderr_name) == ('traincraft.out', 'traincraft.err')


def test_structures_go_without_their_labels(prepare, case_inputs, copper_frames):
    _, folder = prepare('traincraft.ase_label', case_inputs['ase_label'][0])
    frames = read_frames(folder / 'structures.frames')
    assert [frame.content_hash() for frame in frames] == [frame.content_hash() for frame in copper_frames[:3]]
    assert all(not frame.properties for frame in frames)


def test_each_split_goes_where_it_belongs(prepare, case_inputs, copper_dataset):
    _, folder = prepare('traincraft.pace_train', case_inputs['pace_train'][0])
    for name, split in (('dataset', 'train'), ('test', 'test')):
        written = [frame.content_hash() for frame in read_extxyz(folder / f'{name}.extxyz')]
        assert written == [frame.content_hash() for frame in copper_dataset.get_structures(split)]
    task = json.loads((folder / 'task.json').read_text())
    assert task['parameters']['e0'] == copper_dataset.e0


def test_plugins_keep_their_order(prepare, copper_frames):
    plugins = {
        name: orm.SinglefileData(io.BytesIO(f'# {name}'.encode()), filename=f'{name}.py')
        for name in ('second', 'first')
    }
    inputs = {'starts': FramesData([copper_frames[0].bare()]), 'plugins': plugins}
    info, folder = prepare('traincraft.sample', inputs)
    task = json.loads((folder / 'task.json').read_text())
    assert task['parameters']['plugins'] == ['plugin_first.py', 'plugin_second.py']
    assert task['parameters']['potential'] is None
    assert (folder / 'plugin_first.py').read_text() == '# first'
    # A plugin is a node already, but small: the job's own copy shows what ran.
    assert 'plugin_first.py' not in info.provenance_exclude_list
