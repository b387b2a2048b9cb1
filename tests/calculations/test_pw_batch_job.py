from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from aiida.engine.processes.calcjobs.tasks import PreSubmitException
from aiida.plugins import CalculationFactory
from ase.build import bulk
from ase.units import GPa

from aiida_traincraft.calculations.pw_inputs import CLEAN_STOP, kpoints_mesh
from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.science.structure import Structure

PARAMETERS: dict[str, Any] = {
    'CONTROL': {'calculation': 'scf', 'tprnfor': True, 'tstress': True},
    'SYSTEM': {'ecutwfc': 12.0, 'ecutrho': 48.0, 'occupations': 'smearing', 'smearing': 'cold', 'degauss': 0.01},
    'ELECTRONS': {'electron_maxstep': 60, 'mixing_beta': 0.4},
}
PLAN: dict[str, Any] = {
    'conv_thr_per_atom': 1e-9,
    'etot_conv_thr_per_atom': 1e-5,
    'kpoints_distance': 0.6,
    'concurrent': 2,
    'max_seconds': 120,
    'parallelization': {},
    'max_force': 50.0,
    'max_pressure': 300.0,
    'version': '6.7MaX',
}


@pytest.fixture(scope='session')
def run_batch(store_structures, pseudo_family) -> Callable[..., orm.CalcJobNode]:
    """Function that runs a batch with ``code``; keywords change the plan."""

    def run(code: Any, frames: Sequence[Structure], options: dict[str, Any] | None = None, **plan: Any) -> Any:
        inputs = {
            'code': code,
            'structures': store_structures(frames),
            'parameters': orm.Dict(PARAMETERS),
            'plan': orm.Dict(PLAN | plan),
            'pseudos': {element: pseudo_family.get_pseudo(element) for element in ('Si', 'Al')},
            'metadata': {'options': options or {}},
        }
        return run_get_node(CalculationFactory('traincraft.pw_batch'), **inputs)[1]

    return run


@pytest.fixture(scope='session')
def version(pw_code, run_batch, silicon_frames) -> str:
    """Version of the pw.x of this machine."""
    node = run_batch(pw_code, silicon_frames[5:6], version='0')
    return str(node.outputs.report['versions']['pw.x'])


@pytest.fixture(scope='module')
def overlapping(silicon_frames) -> Structure:
    frame = silicon_frames[2].copy()
    frame.atoms.positions[1] = frame.atoms.positions[0] + [0.0, 0.0, 0.5]
    return frame


@pytest.fixture(scope='module')
def batch(pw_code, run_batch, version, silicon_frames, overlapping) -> orm.CalcJobNode:
    """Four cells of silicon, the third with overlapping atoms."""
    return run_batch(pw_code, [*silicon_frames[:2], overlapping, silicon_frames[3]], version=version)


@pytest.fixture(scope='module')
def pw_inputs(silicon_frames, pseudo_family) -> dict[str, Any]:
    """Inputs of a PwCalculation for the first cell of the batch."""
    structure = TrainingStructureData(silicon_frames[0])
    parameters = {name: dict(keys) for name, keys in PARAMETERS.items()}
    parameters['CONTROL'] |= {'etot_conv_thr': 2e-5, 'max_seconds': CLEAN_STOP * PLAN['max_seconds']}
    parameters['ELECTRONS']['conv_thr'] = 2e-9
    return {
        'structure': structure,
        'parameters': orm.Dict(parameters),
        'kpoints': kpoints_mesh(structure, PLAN['kpoints_distance']),
        'pseudos': pseudo_family.get_pseudos(structure=structure),
        'metadata': {'options': {'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 1}, 'withmpi': False}},
    }


@pytest.fixture(scope='session')
def script_code(localhost, tmp_path_factory) -> Callable[[str], orm.InstalledCode]:
    """Function that makes a code of a few lines of bash, which stand in for pw.x."""

    def make(lines: str, **kwargs: Any) -> orm.InstalledCode:
        path = tmp_path_factory.mktemp('code') / 'pw.sh'
        path.write_text(f'#!/bin/bash\n{lines}\n')
        path.chmod(0o755)
        return orm.InstalledCode(kwargs.pop('computer', localhost), str(path), label=path.parent.name, **kwargs).store()

    return make


def test_the_overlapping_pair_is_refused_and_the_others_are_labelled(batch):
    assert batch.exit_status == 0, batch.exit_message
    rows = batch.outputs.report['rows']
    assert [row['status'] for row in rows] == ['ok', 'ok', 'failed', 'ok']
    assert rows[2]['reason'] in ('force too large', 'pressure too large', 'atoms too close')
    assert [frame.provenance['index'] for frame in batch.outputs.frames.get_frames()] == [0, 1, 3]
    assert all(row['seconds'] > 0 for row in rows)


def test_a_label_is_that_of_a_pw_calculation(batch, pw_code, pw_inputs, silicon_frames):
    _, single = run_get_node(CalculationFactory('quantumespresso.pw'), code=pw_code, **pw_inputs)
    assert single.is_finished_ok, single.exit_message
    parameters, trajectory = single.outputs.output_parameters, single.outputs.output_trajectory
    frame = batch.outputs.frames.get_frames()[0]
    assert frame.content_hash() == silicon_frames[0].content_hash()
    assert frame.properties['energy'] == pytest.approx(parameters['energy'], abs=1e-8)
    np.testing.assert_allclose(frame.properties['forces'], trajectory.get_array('forces')[-1], atol=1e-6)
    stress = -trajectory.get_array('stress')[-1] * GPa
    np.testing.assert_allclose(frame.properties['stress'][[0, 1, 2]], np.diag(stress), atol=1e-8)
    assert frame.properties['stress'][3] == pytest.approx(stress[1, 2], abs=1e-8)
    assert frame.provenance['scf_iterations'] == parameters['scf_iterations']
    assert frame.provenance['sample'] == 0
    assert frame.provenance['kpoints'] == list(pw_inputs['kpoints'].get_kpoints_mesh()[0])


def test_scratch_is_removed_and_little_is_kept(batch):
    names = {str(path / name) for path, _, files in batch.outputs.retrieved.base.repository.walk() for name in files}
    assert {f'structure_{index:06d}/aiida.out' for index in range(4)} <= names
    assert not [name for name in names if name.endswith(('.xml', '.dat', 'status'))]
    work = Path(batch.get_remote_workdir())
    left = {path.name for path in work.glob('structure_*/out/**/*') if path.is_file()}
    assert left == {'data-file-schema.xml'}
    assert [path.name for path in work.glob('**/*.UPF') if not path.parent.is_symlink()] == ['Si.pz-vbc.UPF']


def test_one_structure_out_of_time(pw_code, run_batch, version, silicon_frames):
    atoms = bulk('Si', 'diamond', a=5.43, cubic=True).repeat((2, 2, 1))
    atoms.rattle(0.05, seed=1)
    frames = [silicon_frames[0], Structure(atoms), silicon_frames[1]]
    node = run_batch(pw_code, frames, version=version, max_seconds=5)
    assert node.exit_status == 0, node.exit_message
    rows = node.outputs.report['rows']
    assert [row['reason'] for row in rows] == [None, 'walltime', None]
    assert node.outputs.frames.n_frames == 2


def test_input_files_are_those_of_a_pw_calculation(run_batch, script_code, pw_inputs, silicon_frames):
    """Needs no pw.x: the input files are written before anything runs."""
    code = script_code('echo "$@"')
    node = run_batch(code, silicon_frames[:2])
    inputs = {**pw_inputs, 'metadata': {**pw_inputs['metadata'], 'dry_run': True, 'store_provenance': False}}
    _, single = run_get_node(CalculationFactory('quantumespresso.pw'), code=code, **inputs)
    folder = Path(single.dry_run_info['folder'])
    try:
        expected = (folder / 'aiida.in').read_text()
    finally:
        shutil.rmtree(folder)
    assert node.base.repository.get_object_content('structure_000000/aiida.in') == expected
    other = node.base.repository.get_object_content('structure_000001/aiida.in')
    assert other != expected
    assert len(other.splitlines()) == len(expected.splitlines())


def test_structures_are_linked_as_inputs(run_batch, script_code, silicon_frames):
    node = run_batch(script_code('true'), silicon_frames[:3])
    links = node.base.links.get_incoming(link_type=LinkType.INPUT_CALC).all()
    members = {link.link_label: link.node.uuid for link in links if link.link_label.startswith('members__')}
    assert [members[f'members__{index:06d}'] for index in range(3)] == node.inputs.structures.uuids


def test_every_structure_is_run_with_the_command_and_sees_its_pseudopotentials(run_batch, script_code, silicon_frames):
    code = script_code('echo "$PWD: $*"; head -c 20 pseudo/Si.pz-vbc.UPF; touch out/huge.wfc1')
    node = run_batch(code, silicon_frames[:3], parallelization={'ndiag': 1, 'npool': 2})
    assert node.exit_status == 0
    for index in range(3):
        name = f'structure_{index:06d}'
        lines = node.outputs.retrieved.base.repository.get_object_content(f'{name}/aiida.out').splitlines()
        assert lines[0].endswith(f'{name}: -npool 2 -ndiag 1 -in aiida.in')
        assert lines[1]
    assert [row['reason'] for row in node.outputs.report['rows']] == ['pw.x stopped'] * 3
    assert not list(Path(node.get_remote_workdir()).glob('structure_*/out/huge.wfc1'))


def test_each_structure_gets_its_part_of_the_mpi_processes(aiida_profile, run_batch, script_code, silicon_frames):
    computer = orm.Computer('parallel', 'localhost', '', 'core.local', 'core.direct', '/tmp').store()
    computer.set_mpirun_command(['env', 'PROCESSES={tot_num_mpiprocs}', 'LOCAL={num_mpiprocs_per_machine}'])
    computer.set_workdir(orm.load_computer('localhost').get_workdir())
    computer.set_minimum_job_poll_interval(0.0)
    computer.configure(safe_interval=0.0, use_login_shell=False)
    lines = 'echo "$PROCESSES $LOCAL $OMPI_MCA_hwloc_base_binding_policy"'
    resources = {'num_machines': 2, 'num_mpiprocs_per_machine': 4}
    for kwargs, concurrent, expected in (
        ({}, 2, '4 4 none'),
        ({'with_mpi': True}, 3, '2 2 none'),
        ({'with_mpi': True}, 8, '  none'),
        ({'with_mpi': False}, 2, '  none'),
    ):
        code = script_code(lines, computer=computer, **kwargs)
        node = run_batch(code, silicon_frames[:2], {'resources': resources}, concurrent=concurrent)
        for index in range(2):
            path = f'structure_{index:06d}/aiida.out'
            assert node.outputs.retrieved.base.repository.get_object_content(path).rstrip('\n') == expected


def test_a_hanging_and_a_crashing_command_end_nothing_else(run_batch, script_code, silicon_frames):
    code = script_code(
        'case $PWD in *000000) trap "" TERM; sleep 60;; *000001) kill -9 $$;; *000002) sleep 60;; '
        '*000003) echo "Error in routine readpp" > CRASH; exit 255;; *) echo end;; esac'
    )
    frames = [Structure(silicon_frames[0].atoms)] * 1 + silicon_frames[1:6]
    node = run_batch(code, frames, concurrent=6, max_seconds=2)
    assert node.exit_status == 0
    rows = node.outputs.report['rows']
    assert [row['reason'] for row in rows[:4]] == ['walltime', 'pw.x stopped', 'walltime', 'pw.x stopped']
    assert 'exit status 137' in rows[1]['detail']
    assert 'readpp' in rows[3]['detail']
    assert [row['reason'] for row in rows[4:]] == ['pw.x stopped'] * 2
    assert 'frames' not in node.outputs


def test_as_many_as_wanted_run_side_by_side(run_batch, script_code, silicon_frames, tmp_path):
    code = script_code(f'touch {tmp_path}/$$; ls {tmp_path} | wc -l; sleep 0.5; rm {tmp_path}/$$')
    node = run_batch(code, silicon_frames, concurrent=2)
    repository = node.outputs.retrieved.base.repository
    together = [int(repository.get_object_content(f'structure_{index:06d}/aiida.out')) for index in range(6)]
    assert max(together) == 2


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'concurrent': 0}, 'concurrent'),
        ({'max_seconds': -1}, 'max_seconds'),
        ({'parallelization': {'pool': 2}}, 'npool'),
        ({'parallelization': {'npool': 1.5}}, 'whole numbers'),
        ({'max_forces': 3.0}, 'max_forces'),
        ({'version': 6.7}, 'version'),
    ],
)
def test_a_bad_plan_is_refused(run_batch, script_code, silicon_frames, change, message):
    with pytest.raises(ValueError, match=message):
        run_batch(script_code('true'), silicon_frames[:1], **change)


def test_structures_that_do_not_belong_in_a_batch(run_batch, script_code, silicon_frames):
    slab, foreign = silicon_frames[0].copy(), silicon_frames[0].copy()
    slab.atoms.pbc = (True, True, False)
    foreign.atoms.symbols[0] = 'Ge'
    for frame, message in ((slab, 'three directions'), (foreign, 'no pseudopotential for Ge')):
        with pytest.raises(PreSubmitException) as error:
            run_batch(script_code('true'), [frame])
        assert message in str(error.value.__cause__)
