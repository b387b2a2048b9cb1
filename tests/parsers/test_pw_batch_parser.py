from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from ase.io import read

from aiida_traincraft.science.structure import read_extxyz

PARAMETERS = {'CONTROL': {'calculation': 'scf'}, 'SYSTEM': {'occupations': 'smearing'}, 'ELECTRONS': {}}
PLAN: dict[str, Any] = {
    'conv_thr_per_atom': 1e-9,
    'etot_conv_thr_per_atom': 1e-5,
    'kpoints_distance': 1.0,
    'concurrent': 2,
    'max_seconds': 3,
    'parallelization': {},
    'max_force': 50.0,
    'max_pressure': 300.0,
    'version': '6.7MaX',
}
KEPT = ('aiida.out', 'aiida.err', 'CRASH')


@pytest.fixture
def finished(make_job, store_structures, pseudo_family, recorded, tmp_path) -> Callable[..., orm.CalcJobNode]:
    """Function that makes a batch of recorded runs, whose temporary files lie in ``tmp_path``."""

    def make(cases: Sequence[str], nspin: int = 1, **plan: Any) -> orm.CalcJobNode:
        frames, files = [], {}
        for index, case in enumerate(cases):
            source, name = recorded / 'pw' / case, f'structure_{index:06d}'
            frames += read_extxyz(source / 'structure.extxyz')
            files |= {f'{name}/{file}': (source / file).read_bytes() for file in KEPT if (source / file).exists()}
            target = tmp_path / name / 'out' / 'aiida.save'
            target.mkdir(parents=True)
            shutil.copy(source / 'status', tmp_path / name / 'status')
            if (xml := source / 'data-file-schema.xml.gz').exists():
                (target / 'data-file-schema.xml').write_bytes(gzip.decompress(xml.read_bytes()))
        inputs = {
            'structures': store_structures(frames),
            'parameters': orm.Dict({**PARAMETERS, 'SYSTEM': {'nspin': nspin}}),
            'plan': orm.Dict(PLAN | plan),
        } | {f'pseudos__{element}': pseudo_family.get_pseudo(element) for element in ('Si', 'Al')}
        return make_job('pw_batch', inputs, files)

    return make


@pytest.fixture
def row(finished, parse, tmp_path) -> Callable[..., dict[str, Any]]:
    """Function that parses a batch of one recorded run and gives its row."""

    def run(case: str, **kwargs: Any) -> dict[str, Any]:
        parsed = parse(finished([case], **kwargs), tmp_path)
        assert parsed.status == 0
        (only,) = parsed.outputs['report']['rows']
        assert ('frames' in parsed.outputs) == (only['status'] == 'ok')
        return only

    return run


def xml_file(folder: Path, index: int = 0) -> Path:
    return folder / f'structure_{index:06d}' / 'out' / 'aiida.save' / 'data-file-schema.xml'


@pytest.mark.parametrize(
    ('case', 'reason', 'detail'),
    [
        ('not_converged', 'SCF not converged', '2 iterations, estimated error 0.01795552 Ry'),
        ('killed', 'walltime', 'limit 3 s reached, 0 SCF iterations begun'),
        ('clean_stop', 'walltime', 'limit 3 s reached, 1'),
        ('overlapping', 'force too large', 'eV/Å'),
        ('overflow', 'atoms too close', 'overflow'),
        ('fixed_metal', 'no band gap with fixed occupations', 'set a smearing'),
        ('fixed_odd', 'odd number of electrons with fixed occupations', 'charge is wrong: smearing is needed'),
        ('unknown_keyword', 'pw.x stopped', 'exit status 1; from read_namelists : error # 1 bad line in namelist'),
        ('truncated_upf', 'pw.x stopped', 'xmltools.f90 Fortran runtime error: End of file'),
    ],
)
def test_a_run_that_gives_no_label(row, case, reason, detail):
    found = row(case)
    assert found['status'] == 'failed'
    assert found['reason'] == reason
    assert detail in found['detail']


@pytest.mark.parametrize(('case', 'nspin'), [('good', 1), ('fixed_insulator', 1), ('spin', 2)])
def test_a_good_run_is_what_another_reader_finds(finished, parse, recorded, tmp_path, case, nspin):
    parsed = parse(finished([case], nspin), tmp_path)
    (frame,) = parsed.outputs['frames'].get_frames()
    (sent,) = read_extxyz(recorded / 'pw' / case / 'structure.extxyz')
    expected = read(recorded / 'pw' / case / 'aiida.out', format='espresso-out')
    assert frame.content_hash() == sent.content_hash()
    # ASE has other constants of nature (1e-7), and reads the digits that are printed.
    assert frame.properties['energy'] == pytest.approx(expected.get_potential_energy(), rel=2e-7)
    np.testing.assert_allclose(frame.properties['forces'], expected.get_forces(), atol=2e-6)
    np.testing.assert_allclose(frame.properties['stress'], expected.get_stress(), atol=2e-6)
    assert frame.provenance['system'] == sent.provenance['system']
    assert frame.provenance['index'] == 0
    assert frame.provenance['scf_iterations'] > 3
    assert frame.provenance['total_magnetization'] == pytest.approx(0.0, abs=0.1)
    assert len(frame.provenance['kpoints']) == 3
    report = parsed.outputs['report']
    assert report['versions'] == {'pw.x': '6.7MaX'}
    assert report['seconds'] == report['rows'][0]['seconds'] > 0.1


def test_a_batch_keeps_its_order(finished, parse, tmp_path):
    cases = ['truncated_upf', 'good', 'killed', 'fixed_insulator', 'overlapping']
    parsed = parse(finished(cases), tmp_path)
    assert parsed.status == 0
    rows = parsed.outputs['report']['rows']
    assert [row['index'] for row in rows] == list(range(5))
    assert [row['status'] for row in rows] == ['failed', 'ok', 'failed', 'ok', 'failed']
    assert [frame.provenance['index'] for frame in parsed.outputs['frames'].get_frames()] == [1, 3]


def test_what_was_finished_when_the_job_died_is_kept(finished, parse, tmp_path):
    node = finished(['good', 'killed', 'good'])
    (tmp_path / 'structure_000001' / 'status').unlink()
    # A full disk leaves an empty file.
    (tmp_path / 'structure_000002' / 'status').write_text('')
    parsed = parse(node, tmp_path)
    assert parsed.status == 400
    assert '2 of 3' in parsed.message
    assert [row['reason'] for row in parsed.outputs['report']['rows']] == [None, 'not finished', 'not finished']
    assert parsed.outputs['report']['rows'][1]['detail'] == 'the job ended before pw.x did'
    assert parsed.outputs['frames'].n_frames == 1


def test_nothing_came_back(make_job, finished, parse, tmp_path):
    inputs = finished(['good', 'killed']).inputs
    shutil.rmtree(tmp_path / 'structure_000000')
    shutil.rmtree(tmp_path / 'structure_000001')
    names = ('structures', 'parameters', 'plan')
    parsed = parse(make_job('pw_batch', {name: inputs[name] for name in names}, {}), tmp_path)
    assert parsed.status == 300
    assert 'frames' not in parsed.outputs
    assert {row['detail'] for row in parsed.outputs['report']['rows']} == {'pw.x was never started'}


@pytest.mark.parametrize(
    ('plan', 'reason'),
    [
        ({'max_force': 0.1}, 'force too large'),
        ({'max_pressure': 0.1}, 'pressure too large'),
        ({'conv_thr_per_atom': 1e-16}, 'SCF not converged'),
        ({'version': '7.2'}, 'another version of pw.x'),
    ],
)
def test_the_limits_of_the_plan_hold(row, plan, reason):
    assert row('good', **plan)['reason'] == reason


def test_killed_for_memory_is_not_the_time_limit(finished, parse, tmp_path):
    node = finished(['killed', 'killed'])
    (tmp_path / 'structure_000000' / 'status').write_text('137 1\n')
    (tmp_path / 'structure_000001' / 'status').write_text('137 13\n')
    reasons = [row['reason'] for row in parse(node, tmp_path).outputs['report']['rows']]
    assert reasons == ['pw.x stopped', 'walltime']


@pytest.mark.parametrize('content', [b'', b'<?xml version="1.0"?><qes:espresso', b'\x00\xff\xfe', None])
def test_an_xml_file_that_cannot_be_read(finished, parse, tmp_path, content):
    node = finished(['good', 'good'])
    if content is None:
        xml_file(tmp_path).unlink()
    else:
        xml_file(tmp_path).write_bytes(content)
    parsed = parse(node, tmp_path)
    rows = parsed.outputs['report']['rows']
    assert [row['reason'] for row in rows] == ['pw.x stopped', None]
    assert rows[0]['detail']


def test_an_output_that_is_no_text(make_job, finished, parse, tmp_path):
    node = finished(['good'])
    names = ('structures', 'parameters', 'plan')
    inputs = {name: node.inputs[name] for name in names}
    broken = make_job('pw_batch', inputs, {'structure_000000/aiida.out': b'\xff\x00' * 100})
    parsed = parse(broken, tmp_path)
    assert parsed.status == 0
    assert parsed.outputs['report']['rows'][0]['reason'] == 'pw.x stopped'


def test_a_killed_structure_does_not_fail_the_job(finished, parse, tmp_path):
    """Slurm calls a whole job out of memory when one process was killed for it."""
    node = finished(['good', 'killed'])
    node.set_exit_status(110)
    assert parse(node, tmp_path).exit_code.status == 0
