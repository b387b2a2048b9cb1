from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile

import pytest
from ase.build import bulk

from aiida_traincraft.calculations.science_zip import science_zip
from aiida_traincraft.science.structure import Structure, read_frames, write_frames

HASH = """
import hashlib
from aiida_traincraft.calculations.science_zip import science_zip
print(hashlib.sha256(science_zip()).hexdigest())
"""

# Refuses aiida (not this package), and tells where this package was imported from.
SITECUSTOMIZE = """
import atexit
import sys


class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] == 'aiida':
            raise ModuleNotFoundError(f'{name} is blocked', name=name)


sys.meta_path.insert(0, Blocker())
atexit.register(lambda: print('SOURCE', sys.modules['aiida_traincraft'].__file__, file=sys.stderr))
"""


@pytest.fixture
def run_zip(tmp_path):
    """Function that runs a task from the shipped zip, with aiida blocked from import, as a compute node does."""
    block = tmp_path / 'block'
    block.mkdir()
    (block / 'sitecustomize.py').write_text(SITECUSTOMIZE)
    folder = tmp_path / 'job'
    folder.mkdir()
    (folder / 'traincraft.zip').write_bytes(science_zip())

    def run(task, parameters, structures):
        write_frames(folder / 'structures.frames', structures)
        (folder / 'task.json').write_text(json.dumps({'task': task, 'parameters': parameters}))
        environment = os.environ | {'PYTHONPATH': str(block)}
        done = subprocess.run(
            [sys.executable, 'traincraft.zip'],
            check=False,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert 'traincraft.zip/aiida_traincraft/__init__.py' in done.stderr
        return folder, json.loads((folder / 'result.json').read_text())

    return run


def test_same_source_same_bytes_in_another_process():
    environment = os.environ | {'PYTHONHASHSEED': '123', 'TZ': 'Asia/Tokyo'}
    done = subprocess.run([sys.executable, '-c', HASH], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == hashlib.sha256(science_zip()).hexdigest()


def test_only_the_science_floor_is_shipped():
    with zipfile.ZipFile(io.BytesIO(science_zip())) as archive:
        names = archive.namelist()
        assert all(info.date_time == (1980, 1, 1, 0, 0, 0) for info in archive.infolist())
    assert names == sorted(names)
    assert '__main__.py' in names
    rest = {name for name in names if not name.startswith('aiida_traincraft/science/')}
    assert rest == {'__main__.py', 'aiida_traincraft/__init__.py'}


def test_labels_without_aiida(run_zip, copper_frames):
    parameters = {'calculator': {'type': 'emt'}, 'min_distance': 0.5, 'plugins': []}
    folder, result = run_zip('label', parameters, [frame.bare() for frame in copper_frames[:2]])
    assert [row['status'] for row in result['rows']] == ['ok', 'ok']
    for frame, expected in zip(read_frames(folder / 'labels.frames'), copper_frames, strict=False):
        assert frame.properties['energy'] == pytest.approx(expected.properties['energy'])


def test_samples_without_aiida(run_zip):
    sampler = {'type': 'md', 'temperature': 300.0, 'steps': 20, 'n': 2}
    parameters = {
        'runs': [{'start': 0, 'sampler': sampler, 'seed': 1}],
        'calculator': {'type': 'emt'},
        'watch': None,
        'potential': None,
        'max_seconds': None,
    }
    folder, result = run_zip('sample', parameters, [Structure(bulk('Cu', cubic=True))])
    assert result['runs'][0]['end'] == 'finished'
    assert len(read_frames(folder / 'frames.frames')) == 2
