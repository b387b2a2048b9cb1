"""Files that came back cut or changed: exit code 303, or the same outputs; never an exception."""

from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pytest
from aiida import orm
from aiida.plugins import ParserFactory
from hypothesis import given, settings
from hypothesis import strategies as st

from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.potentials.pace import PacePotentialData
from aiida_traincraft.parsers.base import WorkerParser
from aiida_traincraft.science.structure import write_frames
from aiida_traincraft.science.worker.main import digest_result
from damage import LONG, QUICK, damages

UNREADABLE = 303
NAMES = ('sample', 'validate', 'evaluate', 'pace_train', 'mace_train', 'pace_activeset')


@pytest.fixture
def finished(make_job, recorded, copper_frames, tmp_path):
    """Function that gives a good job's node, its retrieved files, and the folder of its big files."""
    folder = tmp_path / 'good'
    folder.mkdir()

    def result(**facts):
        digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        told = {'status': 'ok', 'seconds': 1.5, 'versions': {'ase': '3.27'}, 'digests': digests} | facts
        return json.dumps(told | {'digest': digest_result(told)}).encode()

    def frames(name):
        write_frames(folder / name, copper_frames[:3])

    def make(name):
        inputs = {
            'parameters': orm.Dict({'training': {'cutoff': 5.0, 'baseline': 'zbl', 'lammps': 'none'}}),
            'seed': orm.Int(1),
            'dataset': DatasetData([], ['emt'], {'Cu': 3.51}),
        }
        kept = {}
        source = recorded / name / ('good' if name == 'mace_train' else 'finished')
        if name == 'sample':
            frames('frames.frames')
            kept['result.json'] = result(runs=[{'end': 'finished', 'frames': 3}])
        elif name == 'validate':
            frames('planned.frames')
            kept['result.json'] = result(findings=[{'validator': 'eos', 'seconds': 1.0}], planned=3)
        elif name == 'evaluate':
            frames('predictions.frames')
            kept['result.json'] = result(rows=[{'energy': 0.1 * index} for index in range(3)], energy_rmse=0.123456)
            shutil.copy(recorded / 'pace_train' / 'finished' / 'potential.yaml', tmp_path)
            inputs['potential'] = PacePotentialData(tmp_path / 'potential.yaml', {'Cu': 3.51}, 5.0)
        elif name == 'pace_activeset':
            shutil.copy(recorded / 'pace_train' / 'finished' / 'potential.yaml', tmp_path)
            inputs['potential'] = PacePotentialData(tmp_path / 'potential.yaml', {'Cu': 3.51}, 5.0)
            pyace = pytest.importorskip('pyace')
            basis = pyace.ACEBBasisSet(str(tmp_path / 'potential.yaml'))
            basis.to_ACECTildeBasisSet().save_yaml(str(folder / 'potential.yace'))
            with (folder / 'potential.asi').open('wb') as handle:
                np.savez(handle, Cu=np.eye(3))
            np.savez_compressed(folder / 'descriptors.npz', descriptors=np.arange(12.0).reshape(3, 4))
            kept['result.json'] = result(degenerate=False, message='')
        else:
            for file in ('potential.yaml', 'potential.model', 'potential_compiled.model', 'descriptors.npy'):
                if (source / file).is_file():
                    shutil.copy(source / file, folder)
            kept['result.json'] = result(**json.loads((source / 'result.json').read_text()))
        return make_job(name, inputs, {}), kept, folder

    return make


def outputs(monkeypatch, node, kept, folder):
    """Exit status and what the outputs hold."""
    retrieved = orm.FolderData()
    for path, content in kept.items():
        retrieved.base.repository.put_object_from_bytes(content, path)
    monkeypatch.setattr(WorkerParser, 'retrieved', property(lambda self: retrieved))
    parser = ParserFactory(f'traincraft.{node.process_type.rpartition(".")[2]}')(node)
    exit_code = parser.parse(retrieved_temporary_folder=str(folder))
    held = {
        name: (output.base.repository.hash(), json.dumps(output.base.attributes.all, sort_keys=True))
        for name, output in parser.outputs.items()
    }
    return (0 if exit_code is None else exit_code.status), held


def check_damaged(monkeypatch, job, tmp_path, data):
    node, kept, good = job
    files = sorted([*kept, *(path.name for path in good.iterdir())])
    chosen = data.draw(st.sampled_from(files))
    folder = tmp_path / 'back'
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(good, folder)
    kept = dict(kept)
    if chosen in kept:
        kept[chosen] = data.draw(damages(kept[chosen]))
    else:
        (folder / chosen).write_bytes(data.draw(damages((folder / chosen).read_bytes())))
    status, held = outputs(monkeypatch, node, kept, folder)
    if status != UNREADABLE:
        shutil.rmtree(folder)
        shutil.copytree(good, folder)
        assert (status, held) == outputs(monkeypatch, node, job[1], folder)


@pytest.fixture(params=NAMES)
def job(request, finished):
    """A good job of each kind."""
    return finished(request.param)


@settings(QUICK, max_examples=15)
@given(data=st.data())
def test_what_came_back_damaged(job, monkeypatch, tmp_path, data):
    check_damaged(monkeypatch, job, tmp_path, data)


def test_a_result_without_its_digest(finished, monkeypatch):
    node, kept, folder = finished('evaluate')
    assert outputs(monkeypatch, node, kept, folder)[0] == 0
    kept['result.json'] = kept['result.json'].replace(b'"digest"', b'"0igest"')
    assert outputs(monkeypatch, node, kept, folder) == (UNREADABLE, {})


@pytest.mark.long
@LONG
@given(data=st.data())
def test_much_that_came_back_damaged(job, monkeypatch, tmp_path, data):
    check_damaged(monkeypatch, job, tmp_path, data)
