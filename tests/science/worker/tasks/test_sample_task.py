"""Task ``sample``: runs in order, whatever becomes of each."""

import json
import sys
import time

import numpy as np
import pytest
from ase.build import bulk

from aiida_traincraft.science.errors import TaskError
from aiida_traincraft.science.structure import Structure, read_frames, write_frames
from aiida_traincraft.science.worker.main import run_task
from aiida_traincraft.science.worker.tasks.sample import describe, run

MD = {'type': 'md', 'temperature': 300, 'steps': 20, 'n': 2}
RATTLE = {'type': 'rattle', 'n': 3, 'stdev': 0.05}

PLUGIN = '''
import numpy as np
from ase.calculators.emt import EMT
from aiida_traincraft.science.config.kinds import CalculatorConfig
from aiida_traincraft.science.registry import register


class UnsureEmt(EMT):
    """EMT that is the less sure the larger the forces."""

    with_uncertainty = False

    def calculate(self, *args):
        super().calculate(*args)
        if self.with_uncertainty:
            self.results['uncertainty'] = np.linalg.norm(self.results['forces'], axis=1)
            if len(self.atoms) == 1:
                self.results['uncertainty'][:] = np.inf


class Config(CalculatorConfig):
    type: str = 'unsure_emt'


@register('calculator', 'unsure_emt', Config)
def make(config):
    """Calculator of a test."""
    return UnsureEmt()
'''


@pytest.fixture
def starts():
    atoms = bulk('Cu', a=3.6, cubic=True)
    return [
        Structure(atoms, {'energy': 1.0}, {'system': 'small'}),
        Structure(atoms.repeat((2, 2, 1)), {}, {'system': 'large'}),
        Structure(bulk('Cu'), {}, {'system': 'single'}),
    ]


@pytest.fixture
def call(tmp_path, restored_registry, starts):
    (tmp_path / 'unsure.py').write_text(PLUGIN)
    write_frames(tmp_path / 'structures.frames', starts)

    def function(*runs, **parameters):
        parameters = {'runs': list(runs), 'plugins': ['unsure.py']} | parameters
        return run(parameters, tmp_path)['runs'], read_frames(tmp_path / 'frames.frames')

    return function


def job(start=0, sampler=RATTLE, seed=1):
    return {'start': start, 'sampler': sampler, 'seed': seed}


def test_frames_of_all_runs_in_order(call):
    rows, frames = call(job(0), job(1, MD, 2), calculator={'type': 'emt'}, watch=None, potential=None, max_seconds=None)
    assert [(row['end'], row['steps'], row['frames']) for row in rows] == [('finished', 3, 3), ('finished', 20, 2)]
    assert [frame.provenance['run'] for frame in frames] == [0, 0, 0, 1, 1]
    assert [frame.provenance['system'] for frame in frames] == ['small'] * 3 + ['large'] * 2
    assert [frame.provenance['seed'] for frame in frames] == [1, 1, 1, 2, 2]
    assert all(row['max_uncertainty'] is None and row['seconds'] >= 0 for row in rows)


def test_reproducible(call):
    hashes = [[frame.content_hash() for frame in call(job(1, MD, 4), calculator={'type': 'emt'})[1]] for _ in range(2)]
    assert hashes[0] == hashes[1]


def test_no_calculator_for_rattle(call):
    rows, frames = call(job())
    assert rows[0]['frames'] == len(frames) == 3


def test_watch(call):
    watch = {'lo': 0.4, 'hi': 1.5, 'check_interval': 2, 'record_interval': 10}
    sampler = {'type': 'md', 'temperature': 1500, 'steps': 300}
    rows, frames = call(job(1, sampler), calculator={'type': 'unsure_emt'}, watch=watch)
    assert rows[0]['end'] == 'halted'
    assert rows[0]['max_uncertainty'] > 1.5
    assert frames[-1].properties['uncertainty'].max() == pytest.approx(rows[0]['max_uncertainty'])
    kept = [frame for frame in frames[:-1] if frame.provenance['step'] % 10]
    assert all(0.4 < frame.properties['uncertainty'].max() <= 1.5 for frame in kept)


def test_a_broken_run_does_not_stop_the_next(call):
    hopeless = RATTLE | {'min_distance': 2.0}
    rows, frames = call(job(0, hopeless), job(0, MD), job(0))
    assert rows[0]['end'].startswith('broken: rattling Cu4')
    assert rows[1]['end'] == 'broken: sampler "md" needs a calculator'
    assert rows[2]['end'] == 'finished'
    assert [frame.provenance['run'] for frame in frames] == [2, 2, 2]


def test_walltime_keeps_what_there_is(call):
    long = {'type': 'md', 'temperature': 300, 'steps': 10**6, 'n': 10**5}
    start = time.monotonic()
    rows, frames = call(job(), job(1, long), job(), calculator={'type': 'emt'}, max_seconds=2)
    assert time.monotonic() - start < 2.5
    assert [row['end'] for row in rows] == ['finished', 'walltime', 'walltime']
    assert rows[1]['frames'] > 0
    assert (rows[2]['frames'], rows[2]['steps']) == (0, 0)
    assert len(frames) == 3 + rows[1]['frames']


def test_infinite_uncertainty_fits_into_json(tmp_path, call):
    call(job())
    watch = {'lo': 1, 'hi': 2, 'check_interval': 1, 'record_interval': 5}
    parameters = {
        'runs': [job(2, MD)],
        'calculator': {'type': 'unsure_emt'},
        'watch': watch,
        'potential': None,
        'max_seconds': None,
        'plugins': ['unsure.py'],
    }
    (tmp_path / 'task.json').write_text(json.dumps({'task': 'sample', 'parameters': parameters}))
    result = run_task(tmp_path)
    assert result['status'] == 'ok', result
    assert result['runs'][0]['end'] == 'halted'
    assert result['runs'][0]['max_uncertainty'] == sys.float_info.max
    assert read_frames(tmp_path / 'frames.frames')[0].properties['uncertainty'][0] == np.inf


@pytest.mark.parametrize(
    ('runs', 'parameters', 'message'),
    [
        ([job(3)], {}, 'starts from structure 3, but there are 3'),
        ([job(-1)], {}, 'starts from structure -1'),
        ([job()], {'calculator': {'type': 'emt'}, 'potential': {'type': 'pace'}}, 'not both'),
    ],
)
def test_parameters_without_sense(call, runs, parameters, message):
    with pytest.raises(TaskError, match=message) as caught:
        call(*runs, **parameters)
    assert caught.value.kind == 'bad_input'


class Coordinates:
    """What the selection asks of a potential, with numbers that are easy to check."""

    def __init__(self, uncertainty='gamma'):
        self.uncertainty = uncertainty

    def descriptor(self, atoms):
        return np.arange(3.0)

    def active_coordinates(self, atoms):
        return {'Ag': np.zeros((0, 2)), 'Cu': np.array([[0.5, -1.0], [0.1, -1.5], [2.0, 0.0]]), 'O': np.ones((1, 2))}


def test_only_rows_beyond_the_active_set_are_kept():
    frame = Structure(bulk('Cu'), {'uncertainty': np.array([2.0])})
    describe(frame, Coordinates())
    assert frame.properties['descriptor'].tolist() == [0, 1, 2]
    assert frame.properties['active.Cu'].tolist() == [[0.1, -1.5], [2.0, 0.0]]
    assert {key for key in frame.properties if key.startswith('active.')} == {'active.Cu'}


@pytest.mark.parametrize(
    ('properties', 'uncertainty'),
    [({'uncertainty': np.ones(1)}, 'gamma'), ({}, 'gamma'), ({'uncertainty': np.full(1, 2.0)}, 'spread'), ({}, None)],
)
def test_known_frames_have_a_descriptor_only(properties, uncertainty):
    frame = Structure(bulk('Cu'), dict(properties))
    describe(frame, Coordinates(uncertainty))
    assert frame.properties.keys() == {*properties, 'descriptor'}


@pytest.fixture(scope='module')
def ace_folder(tmp_path_factory, copper_frames):
    """A real linear potential of small rattled copper cells with its active set."""
    pytest.importorskip('pyace', reason='python-ace is not installed')
    from aiida_traincraft.science.worker.tasks import pace_activeset, pace_linear

    folder = tmp_path_factory.mktemp('ace')
    write_frames(folder / 'dataset.frames', copper_frames)
    training = {'type': 'pace_linear', 'cutoff': 4.5, 'functions': 12}
    pace_linear.run({'training': training, 'e0': {'Cu': 0.5}, 'seed': 0}, folder)
    pace_activeset.run({'e0': {'Cu': 0.5}, 'gamma_lo': 2.0, 'seed': 0}, folder)
    return folder


@pytest.mark.parametrize('fast', [True, False])
def test_ace_watches_itself(ace_folder, tmp_path, starts, fast):
    for name in ('potential.yaml', 'potential.asi', *(['potential.yace'] if fast else [])):
        (tmp_path / name).write_bytes((ace_folder / name).read_bytes())
    write_frames(tmp_path / 'structures.frames', starts)
    sampler = {'type': 'md', 'temperature_start': 300, 'temperature_end': 6000, 'steps': 400, 'n': 1}
    parameters = {
        'runs': [job(0, sampler), job(0, RATTLE)],
        'calculator': None,
        'watch': {'lo': 1.2, 'hi': 5.0, 'check_interval': 5, 'record_interval': 25},
        'potential': {'type': 'pace', 'e0': {'Cu': 0.5}, 'active_set': True},
        'max_seconds': 300,
        'plugins': [],
    }
    rows = run(parameters, tmp_path)['runs']
    assert rows[0]['end'] == 'halted'
    assert rows[1]['end'] == 'finished'
    frames = read_frames(tmp_path / 'frames.frames')
    widths = {len(frame.properties['descriptor']) for frame in frames}
    assert len(widths) == 1
    walk = [frame for frame in frames if frame.provenance['run'] == 0]
    assert walk[-1].properties['uncertainty'].max() > 5.0
    for frame in walk:
        worst = frame.properties['uncertainty'].max()
        # γ is the largest coordinate, and only the rows above 1 are kept.
        if worst > 1:
            rows = np.abs(frame.properties['active.Cu'])
            assert rows.max() == pytest.approx(worst, rel=1e-6)
            assert rows.max(axis=1).min() > 1
        else:
            assert 'active.Cu' not in frame.properties
    assert all('uncertainty' not in frame.properties for frame in frames if frame.provenance['run'] == 1)


def test_potential_without_active_set_drives_a_run(ace_folder, tmp_path, starts):
    (tmp_path / 'potential.yaml').write_bytes((ace_folder / 'potential.yaml').read_bytes())
    write_frames(tmp_path / 'structures.frames', starts)
    parameters = {'runs': [job(0, MD)], 'potential': {'type': 'pace', 'e0': {'Cu': 0.5}, 'active_set': False}}
    rows = run(parameters, tmp_path)['runs']
    assert (rows[0]['end'], rows[0]['frames']) == ('finished', 2)
    assert 'descriptor' in read_frames(tmp_path / 'frames.frames')[0].properties
    watch = {'lo': 1, 'hi': 2, 'check_interval': 1, 'record_interval': 1}
    with pytest.raises(TaskError, match='no uncertainty to watch: ACE needs an active set') as caught:
        run(parameters | {'watch': watch}, tmp_path)
    assert caught.value.kind == 'bad_input'
