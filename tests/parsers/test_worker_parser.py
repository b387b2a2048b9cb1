"""What all parsers do with a job that left no result, or none that can be read."""

from __future__ import annotations

import hashlib
import json

import pytest
from aiida import orm
from aiida.plugins import CalculationFactory

from aiida_traincraft.calculations.sample import FRAMES_FILE
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.data.potentials.pace import PacePotentialData
from aiida_traincraft.parsers.base import KINDS
from aiida_traincraft.science.structure import write_frames

NAMES = ('ase_label', 'evaluate', 'mace_data', 'mace_train', 'pace_activeset', 'pace_linear', 'pace_train', 'sample')
STATUS = {
    'missing_package': 301,
    'bad_input': 302,
    'walltime': 400,
    'no_result': 310,
    'not_finite': 311,
    'killed': 312,
    'out_of_memory': 320,
    'labels_dropped': 321,
    'checkpoint_ignored': 322,
}
ONLY = {'killed': ('pace_train', 'mace_train')} | dict.fromkeys(
    ('out_of_memory', 'labels_dropped', 'checkpoint_ignored'), ('mace_train',)
)
"""What only some calculations can know."""


@pytest.fixture
def job(make_job, linear_training, store_structures, copper_frames, copper_dataset, tmp_path):
    """Function that makes a job that has all inputs that a parser looks at."""
    (tmp_path / 'before.yaml').write_text('a potential')
    inputs = {
        'parameters': orm.Dict({'training': linear_training}),
        'structures': store_structures(copper_frames[:2]),
        'level_of_theory': LevelOfTheoryData.get_or_create({'type': 'ase', 'calculator': {'type': 'emt'}}),
        'dataset': copper_dataset,
        'potential': PacePotentialData(tmp_path / 'before.yaml', e0={'Cu': 3.5}, cutoff=5.0),
    }

    def make(name, files):
        return make_job(name, inputs, files)

    return make


@pytest.mark.parametrize('name', NAMES)
def test_a_job_without_result_was_killed(job, parse, tmp_path, name):
    files = {'traincraft.out': '1/9 Cu4 ok\n', 'traincraft.err': 'warning\nslurmstepd: error: out of memory\n'}
    parsed = parse(job(name, files), tmp_path)
    assert parsed.status == 300
    assert 'slurmstepd: error: out of memory' in parsed.message
    assert not parsed.outputs


def test_last_words_may_be_on_standard_output(job, parse, tmp_path):
    parsed = parse(job('sample', {'traincraft.out': 'run 1/2\nrun 2/2\n', 'traincraft.err': ''}), tmp_path)
    assert parsed.message.endswith('last line of traincraft.out: run 2/2')
    assert 'no output' in parse(job('sample', {}), tmp_path).message


@pytest.mark.parametrize(
    ('name', 'scheduler', 'status'),
    [('sample', 120, 400), ('mace_train', 120, 400), ('mace_train', 110, 320), ('sample', 110, 300)],
)
def test_what_the_scheduler_says_of_a_job_without_result(job, parse, tmp_path, name, scheduler, status):
    node = job(name, {})
    node.set_exit_status(scheduler)
    assert parse(node, tmp_path).status == status


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('content', ['{"status": "ok", "rows": [', 'Segmentation fault', '{"status": "ok"}'])
def test_a_result_that_cannot_be_used(job, parse, tmp_path, name, content):
    parsed = parse(job(name, {'result.json': content}), tmp_path)
    assert parsed.status == 303
    assert 'potential' not in parsed.outputs
    assert 'manifest' not in parsed.outputs


@pytest.mark.parametrize('kind', sorted(KINDS))
def test_every_kind_of_error_has_its_exit_code(job, parse, tmp_path, kind):
    result = {'status': 'error', 'kind': kind, 'message': 'because', 'seconds': 1.0, 'versions': {}}
    parsed = parse(job('mace_train', {'result.json': json.dumps(result)}), tmp_path)
    assert parsed.status == STATUS[kind]
    assert 'because' in parsed.message
    assert set(parsed.outputs) == {'summary'}


@pytest.mark.parametrize('name', NAMES)
def test_exit_codes_are_those_of_the_calculation(name):
    codes = CalculationFactory(f'traincraft.{name}').exit_codes
    for kind, label in KINDS.items():
        if name in ONLY.get(kind, NAMES):
            assert codes[label].status == STATUS[kind]
            assert '{reason}' in codes[label].message


def finished(folder, name, content, **facts):
    """Files of a job that has written one product."""
    (folder / name).write_bytes(content)
    digests = {name: hashlib.sha256(content).hexdigest()}
    result = {'status': 'ok', 'seconds': 1.0, 'versions': {}, 'digests': digests} | facts
    return {'result.json': json.dumps(result)}


@pytest.mark.parametrize(
    ('name', 'file'),
    [('pace_linear', 'potential.yaml'), ('pace_activeset', 'potential.yace'), ('sample', FRAMES_FILE)],
)
@pytest.mark.parametrize('damage', [lambda path: path.write_bytes(path.read_bytes()[:-1]), lambda path: path.unlink()])
def test_a_product_that_was_cut_on_its_way_is_not_taken(job, parse, tmp_path, name, file, damage):
    files = finished(tmp_path, file, b'a product of ours')
    damage(tmp_path / file)
    parsed = parse(job(name, files), tmp_path)
    assert parsed.status == 303
    assert file in parsed.message
    assert not parsed.outputs


@pytest.mark.parametrize('count', [0, 2, 4])
def test_another_number_of_frames_is_not_taken(job, parse, tmp_path, copper_frames, count):
    write_frames(tmp_path / FRAMES_FILE, copper_frames[:count])
    content = (tmp_path / FRAMES_FILE).read_bytes()
    files = finished(tmp_path, FRAMES_FILE, content, runs=[{'end': 'finished', 'frames': 3}])
    parsed = parse(job('sample', files), tmp_path)
    assert (parsed.status, f'{FRAMES_FILE} holds {count} frames, the job wrote 3' in parsed.message) == (303, True)


def test_damaged_descriptors_are_not_taken(job, parse, tmp_path):
    (tmp_path / 'potential.yace').write_text('a potential')
    (tmp_path / 'potential.asi').write_text('an active set')
    (tmp_path / 'descriptors.npz').write_bytes(b'PK\x03\x04 no archive')
    result = {'status': 'ok', 'degenerate': False, 'message': '', 'seconds': 1.0, 'versions': {}}
    parsed = parse(job('pace_activeset', {'result.json': json.dumps(result)}), tmp_path)
    assert parsed.status == 303


@pytest.mark.parametrize('content', ['[]', '3', 'null', '{"status": 3}', '{"status": "ok", "digests": [1]}', '{}'])
@pytest.mark.parametrize('name', NAMES)
def test_an_odd_result_is_no_exception(job, parse, tmp_path, name, content):
    assert parse(job(name, {'result.json': content}), tmp_path).status == 303
