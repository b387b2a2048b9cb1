"""Tasks ``evaluate``, ``label`` and ``sample`` with MACE potentials, run where MACE is."""

import json
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_traincraft.science.structure import Structure, read_frames, write_frames

pytestmark = pytest.mark.slow

E0 = {'Al': 3.28, 'Cu': 3.51}
COMMITTEE = ['model_0.model', 'model_1.model', 'model_2.model']
MD = {'type': 'md', 'temperature': 300, 'steps': 20, 'n': 2, 'timestep': 1.0}
WATCH = {'lo': 1e3, 'hi': 1e6, 'check_interval': 5, 'record_interval': 10}

RUN_TASKS = """
import sys
from pathlib import Path
from aiida_traincraft.science.worker.main import run_task

for folder in sys.argv[1:]:
    run_task(Path(folder))
"""


def table(*models, head=None):
    return {'type': 'mace', 'models': list(models), 'head': head, 'e0': E0}


def dipole_frame():
    atoms = Atoms('CuAl', positions=[[0, 0, 0], [0, 0, 2.5]])
    return Structure(atoms, {'dipole': np.array([0, 0, 1.0]), 'polarizability': np.eye(3)}, {'label': 'a label'})


@pytest.fixture(scope='module')
def jobs(run_with_mace, mace_models, tmp_path_factory, copper_frames):
    """Folders of finished jobs by name."""
    starts = [Structure(bulk('Cu', a=3.6, cubic=True)), Structure(Atoms('Cu'))]
    foreign = Structure(bulk('Fe'), {'energy': 0.0, 'forces': np.zeros((1, 3))})
    runs = [{'start': start, 'sampler': MD, 'seed': 1} for start in (0, 1)]
    rattle = {'start': 0, 'sampler': {'type': 'rattle', 'n': 1}, 'seed': 1}
    requests = {
        'committee': ('evaluate', [*copper_frames[:6], foreign], {'potential': table(*COMMITTEE)}),
        'single': ('evaluate', copper_frames[:1], {'potential': table('model_0.model')}),
        'dielectric': ('evaluate', [dipole_frame()], {'potential': table('dielectric.model')}),
        'surrogate': (
            'label',
            [*starts, Structure(bulk('Fe')), dipole_frame()],
            {'potential': table('energy_dipoles.model'), 'min_distance': 0.5},
        ),
        'exploration': ('sample', starts, {'runs': [*runs, rattle], 'potential': table(*COMMITTEE), 'watch': WATCH}),
        'blind': ('sample', starts, {'runs': runs, 'potential': table('model_0.model'), 'watch': WATCH}),
        'absent': ('evaluate', [], {'potential': table('nowhere.model')}),
    }
    folders = {}
    for name, (task, frames, parameters) in requests.items():
        folders[name] = tmp_path_factory.mktemp(name)
        write_frames(folders[name] / ('dataset.frames' if task == 'evaluate' else 'structures.frames'), frames)
        (folders[name] / 'task.json').write_text(json.dumps({'task': task, 'parameters': parameters}))
        for model in set(parameters['potential']['models']) - {'nowhere.model'}:
            (folders[name] / model).symlink_to(mace_models / model)
    run_with_mace('-c', RUN_TASKS, *folders.values())
    return folders


def result(folder):
    return json.loads((folder / 'result.json').read_text())


def test_committee_is_scored_by_its_mean(jobs, copper_frames):
    found = result(jobs['committee'])
    assert found['status'] == 'ok', found
    assert found['n_failed'] == 1
    assert found['rows'][6]['reason'] == 'ValueError: the potential has no Fe; it knows Al, Cu'
    predictions = read_frames(jobs['committee'] / 'predictions.frames')
    assert len(predictions) == 6
    for index, (predicted, frame) in enumerate(zip(predictions, copper_frames[:6], strict=True)):
        assert predicted.content_hash() == frame.content_hash()
        assert predicted.provenance == frame.provenance
        assert predicted.properties.keys() == {'energy', 'forces', 'stress', 'uncertainty', 'energy_spread'}
        row = found['rows'][index]
        error = (predicted.properties['energy'] - frame.properties['energy']) / len(frame)
        assert row['energy_error'] == pytest.approx(error)
        assert row['max_uncertainty'] == pytest.approx(predicted.properties['uncertainty'].max())
        assert predicted.properties['energy_spread'] > 0
    pairs = zip(predictions, copper_frames[:6], strict=True)
    stress = np.array([predicted.properties['stress'] - frame.properties['stress'] for predicted, frame in pairs])
    assert found['overall']['stress']['rmse'] == pytest.approx(np.sqrt(np.mean(stress**2)))


def test_single_model_has_no_uncertainty(jobs):
    assert result(jobs['single'])['rows'][0]['max_uncertainty'] is None
    (prediction,) = read_frames(jobs['single'] / 'predictions.frames')
    assert prediction.properties.keys() == {'energy', 'forces', 'stress'}


def test_dielectric_model_is_scored(jobs):
    overall = result(jobs['dielectric'])['overall']
    assert {name: found['n'] for name, found in overall.items()} == {
        'energy': 0,
        'forces': 0,
        'stress': 0,
        'dipole': 3,
        'polarizability': 9,
    }
    (prediction,) = read_frames(jobs['dielectric'] / 'predictions.frames')
    assert prediction.provenance == {'label': 'a label'}
    errors = prediction.properties['dipole'] - [0, 0, 1]
    assert overall['dipole']['rmse'] == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert overall['dipole']['std'] == 0


def test_surrogate_labels(jobs):
    rows = result(jobs['surrogate'])['rows']
    assert [row['status'] for row in rows] == ['ok', 'ok', 'failed', 'ok']
    crystal, atom, molecule = read_frames(jobs['surrogate'] / 'labels.frames')
    assert crystal.properties.keys() == {'energy', 'forces', 'stress', 'dipole'}
    assert atom.properties['energy'] == E0['Cu']
    assert not atom.properties['forces'].any()
    assert molecule.properties['dipole'].shape == (3,)


def test_committee_watches_itself(jobs):
    found = result(jobs['exploration'])
    assert found['status'] == 'ok', found
    assert [(row['end'], row['frames']) for row in found['runs']] == [('finished', 2), ('halted', 1), ('finished', 1)]
    # An atom alone is what no member knows.
    assert found['runs'][1]['max_uncertainty'] == sys.float_info.max
    *walk, alone, rattled = read_frames(jobs['exploration'] / 'frames.frames')
    for frame in walk:
        assert frame.properties.keys() == {'uncertainty', 'energy_spread', 'descriptor', 'energy', 'forces'}
        assert frame.properties['uncertainty'].shape == (4,)
        assert frame.properties['energy_spread'] > 0
    assert np.isinf(alone.properties['uncertainty']).all()
    assert rattled.properties.keys() == {'descriptor'}
    assert {len(frame.properties['descriptor']) for frame in (*walk, alone, rattled)} == {16}


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('blind', 'the potential has no uncertainty to watch: ACE needs an active set, MACE a committee of several'),
        ('absent', 'nowhere.model does not exist'),
    ],
)
def test_errors(jobs, name, message):
    found = result(jobs[name])
    assert (found['status'], found['kind']) == ('error', 'bad_input')
    assert message in found['message']
