"""Worker: one task, one result, whatever happens."""

import hashlib
import json
import math
import subprocess
import sys
import types

import pytest
from ase.build import bulk

from aiida_traincraft.science.errors import TaskError
from aiida_traincraft.science.structure import Structure, read_frames, write_frames
from aiida_traincraft.science.worker import main as worker
from aiida_traincraft.science.worker.main import run_task


@pytest.fixture
def task(tmp_path, monkeypatch):
    """Make a task of a function and run it."""

    def run(function, **parameters):
        module = types.ModuleType('aiida_traincraft.science.worker.tasks.of_a_test')
        module.run = function
        monkeypatch.setitem(sys.modules, module.__name__, module)
        (tmp_path / 'task.json').write_text(json.dumps({'task': 'of_a_test', 'parameters': {'x': 1} | parameters}))
        returned = run_task(tmp_path)
        written = json.loads((tmp_path / 'result.json').read_text())
        assert written == returned
        assert not (tmp_path / 'result.json.partial').exists()
        return written

    return run


def raising(error):
    def run(parameters, folder):
        raise error

    return run


def test_good_task(task, tmp_path):
    result = task(lambda parameters, folder: {'got': parameters['x'], 'folder': str(folder)})
    assert result['status'] == 'ok'
    assert (result['got'], result['folder']) == (1, str(tmp_path))
    assert result['seconds'] >= 0
    assert {'python', 'ase', 'numpy'} <= result['versions'].keys()


def test_products_are_described_by_their_digests(task):
    def run(parameters, folder):
        (folder / 'model_1.model').write_bytes(b'one')
        (folder / 'other.txt').write_bytes(b'two')
        return {}

    result = task(run, products=['*.model', 'none.yaml'])
    assert result['digests'] == {'model_1.model': hashlib.sha256(b'one').hexdigest()}


@pytest.mark.parametrize(
    ('error', 'kind', 'message'),
    [
        (TaskError('walltime', 'too late'), 'walltime', 'too late'),
        (ModuleNotFoundError("No module named 'pyace'", name='pyace'), 'missing_package', 'pyace is not installed for'),
        (ValueError('a wrong value'), 'bad_input', 'ValueError: a wrong value'),
        (KeyError('absent'), 'bad_input', "KeyError: 'absent'"),
    ],
)
def test_errors_have_a_kind(task, error, kind, message):
    result = task(raising(error))
    assert (result['status'], result['kind']) == ('error', kind)
    assert message in result['message']


def test_result_that_json_cannot_hold(task):
    result = task(lambda parameters, folder: {'error': math.nan})
    assert (result['status'], result['kind']) == ('error', 'not_finite')
    assert 'nan' in result['message'].lower()


@pytest.mark.parametrize('content', [None, 'no json', '{}', '{"task": "of_nobody", "parameters": {}}'])
def test_bad_requests(tmp_path, content):
    if content is not None:
        (tmp_path / 'task.json').write_text(content)
    result = run_task(tmp_path)
    assert result['status'] == 'error'
    assert json.loads((tmp_path / 'result.json').read_text()) == result


def test_as_a_process(tmp_path):
    """As a compute node runs it: the working directory is the job's folder."""
    write_frames(tmp_path / 'structures.frames', [Structure(bulk('Cu'))])
    parameters = {'calculator': {'type': 'emt'}, 'min_distance': 0.5}
    (tmp_path / 'task.json').write_text(json.dumps({'task': 'label', 'parameters': parameters}))
    command = [
        sys.executable,
        '-c',
        'import sys; from aiida_traincraft.science.worker.main import main; sys.exit(main())',
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '1/1 Cu ok' in done.stdout
    assert json.loads((tmp_path / 'result.json').read_text())['status'] == 'ok'
    assert 'energy' in read_frames(tmp_path / 'labels.frames')[0].properties

    (tmp_path / 'task.json').write_text(json.dumps({'task': 'label', 'parameters': {'calculator': {'type': 'emmt'}}}))
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "did you mean 'emt'" in done.stderr


def test_versions_are_text():
    assert all(isinstance(value, str) for value in worker.versions().values())
