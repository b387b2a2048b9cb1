from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from aiida_traincraft.science.baselines import make_baseline
from aiida_traincraft.science.structure import Structure, read_extxyz
from aiida_traincraft.science.training.mace.input import label_counts, write_data
from aiida_traincraft.science.worker.main import run_task
from aiida_traincraft.science.worker.tasks import mace_data

RECORDED = Path(__file__).parents[3] / 'recorded' / 'mace_train' / 'good'
SOURCE = Path(mace_data.__file__).parents[4]
FOUNDATION = {'foundation': {'file': 'x.model'}, 'r_max': 4.0}
RUN = """
import sys
from pathlib import Path

from aiida_traincraft.science.worker.main import run_task

for folder in sys.argv[1:]:
    run_task(Path(folder))
"""
SHOW = """
import sys
import mace, torch

model = torch.load(sys.argv[1], weights_only=False)
print(tuple(model.atomic_energies_fn.atomic_energies.shape), list(model.heads))
"""
CASES = {
    'good': {'extra': {'num_radial_basis': 10}},
    'unknown_flag': {'extra': {'num_radial_bases': 10}},
    'bad_value': {'extra': {'scaling': 'huge'}},
    'mliap': {'lammps': 'mliap'},
    'foundation': FOUNDATION,
    'cutoff': FOUNDATION | {'r_max': 5.0},
    'head': {'foundation': {'file': 'x.model', 'head': 'pbe'}, 'r_max': 4.0},
    'element': FOUNDATION,
    'compiled': FOUNDATION,
    'damaged': FOUNDATION,
    'baseline': {'baseline': {'type': 'lj'}},
}


def prepare(folder, frames, training):
    (folder / 'data').mkdir(parents=True)
    counts = {'train': label_counts(frames), 'valid': label_counts(frames[:2])}
    heads = [{'name': 'Default', 'e0': {'Cu': 3.51, 'Al': 1.0}, 'counts': counts}]
    parameters = {'training': {'type': 'mace', **training}, 'heads': heads, 'device': 'cpu'}
    for split, chosen in (('train', frames), ('valid', frames[:2])) if 'baseline' in training else ():
        write_data(folder / 'data' / f'Default_{split}.xyz', chosen)
    (folder / 'task.json').write_text(json.dumps({'task': 'mace_data', 'parameters': parameters}))


def call(python, script, *arguments):
    environment = os.environ | {'PYTHONPATH': str(SOURCE)}
    command = [str(python), '-c', script, *map(str, arguments)]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope='module')
def folders(tmp_path_factory, copper_frames, mace_python):
    """All cases, checked in one process: importing MACE takes longer than the checks."""
    root = tmp_path_factory.mktemp('mace_data')
    aluminium = copper_frames[0].atoms.copy()
    aluminium.numbers[0] = 13
    for name, training in CASES.items():
        frames = [*copper_frames[:4], Structure(aluminium)] if name == 'element' else copper_frames[:4]
        if name == 'baseline':
            frames = [Structure(frame.atoms, frame.properties, {'weight': 3.0}) for frame in frames]
        prepare(root / name, frames, training)
        source = RECORDED / ('potential_compiled.model' if name == 'compiled' else 'potential.model')
        shutil.copy(source, root / name / 'data' / 'foundation.model')
    (root / 'damaged' / 'data' / 'foundation.model').write_bytes((RECORDED / 'potential.model').read_bytes()[:5000])
    call(mace_python, RUN, *(root / name for name in CASES))
    return root


def result(folders, name):
    return json.loads((folders / name / 'result.json').read_text())


def test_missing_mace_says_what_to_install(tmp_path, copper_frames):
    prepare(tmp_path / 'job', copper_frames, {})
    found = run_task(tmp_path / 'job')
    assert found['kind'] == 'missing_package'
    assert 'pip install "mace-torch' in found['message']


def test_good_settings(folders):
    found = result(folders, 'good')
    assert (found['status'], found['foundation']) == ('ok', None)
    assert found['flags_checked'] > 30


def test_mace_is_given_what_the_baseline_leaves(folders, copper_frames):
    baseline = result(folders, 'baseline')['baseline']
    assert baseline['pairs'].keys() == {'Cu-Cu'}
    assert result(folders, 'good')['baseline'] == {'type': 'none'}
    for split, frames in (('train', copper_frames[:4]), ('valid', copper_frames[:2])):
        found = read_extxyz(folders / 'baseline' / 'data' / f'Default_{split}.xyz')
        for left, frame in zip(found, frames, strict=True):
            atoms = frame.atoms.copy()
            atoms.calc = make_baseline(baseline)
            given = left.properties
            assert given['energy'] == pytest.approx(frame.properties['energy'] - atoms.get_potential_energy(), abs=1e-5)
            assert np.allclose(given['forces'], frame.properties['forces'] - atoms.get_forces(), atol=1e-5)
            assert np.allclose(given['stress'], frame.properties['stress'] - atoms.get_stress(), atol=1e-6)
            assert left.atoms.info['config_weight'] == pytest.approx(9.0)
    assert label_counts(found)['stress'] == 2


def test_foundation_is_described_and_made_ready(folders, mace_python):
    found = result(folders, 'foundation')
    assert found['foundation'] == {'r_max': 4.0, 'elements': ['Cu'], 'model': 'ScaleShiftMACE', 'heads': ['Default']}
    shown = call(mace_python, SHOW, folders / 'foundation' / 'data' / 'foundation.model')
    assert shown.splitlines()[-1] == "(1,) ['Default']"


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('unknown_flag', r'training.extra.num_radial_bases: mace-torch .* no such flag; did you mean num_radial_basis'),
        ('bad_value', r'training.extra.scaling: argument --scaling: invalid choice'),
        ('cutoff', r'training.r_max is 5.0 Å, but the foundation model has 4.0 Å'),
        ('head', r'training.foundation.head is "pbe", but the model has Default'),
        ('element', r'the model does not know Al of the data, only Cu'),
        ('compiled', r'training.foundation: the file holds a RecursiveScriptModule'),
        ('damaged', r'training.foundation: foundation.model is no MACE model'),
    ],
)
def test_what_cannot_be_used_is_named(folders, name, message):
    found = result(folders, name)
    assert (found['status'], found['kind']) == ('error', 'bad_input')
    with pytest.raises(ValueError, match=message):
        raise ValueError(found['message'])


def test_form_for_mliap_needs_its_package_before_training(folders):
    found = result(folders, 'mliap')
    assert found['kind'] == 'missing_package'
    assert 'pip install --no-deps cuequivariance' in found['message']
