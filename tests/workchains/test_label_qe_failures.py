"""Labels that fail, each for another reason, with the pw.x of this machine or a shell script in its place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from aiida import orm
from aiida_quantumespresso.workflows.pw.base import PwBaseWorkChain
from ase import Atoms
from ase.build import bulk

from aiida_traincraft.data.ledger import LedgerRow
from aiida_traincraft.science.structure import Structure

# Prints what is asked of pw.x before the first label, and dies of whatever else it is given.
DYING = 'echo "     Program PWSCF v.6.7MaX starts on  1Jan2000"\n[ -s aiida.in ] && kill -9 $$\nexit 1'


def jobs(node: orm.WorkChainNode) -> list[orm.CalcJobNode]:
    found = [job for job in node.called_descendants if str(job.process_type).endswith('quantumespresso.pw')]
    return sorted(found, key=lambda job: job.pk)


def only_row(node: orm.WorkChainNode) -> LedgerRow:
    assert node.is_finished_ok, node.exit_message
    (row,) = node.outputs.ledger.rows
    assert len(node.outputs.manifest) == sum(row.label is not None for row in node.outputs.ledger.rows)
    return row


@pytest.fixture(scope='module')
def script_code(localhost, tmp_path_factory) -> Callable[[str, str], orm.InstalledCode]:
    """Function that makes a code of a few lines of bash in the place of pw.x."""

    def make(label: str, lines: str) -> orm.InstalledCode:
        path = tmp_path_factory.mktemp(label) / 'stand-in.sh'
        path.write_text(f'#!/bin/bash\n{lines}\n')
        path.chmod(0o755)
        return orm.InstalledCode(
            localhost, str(path), label=label, default_calc_job_plugin='quantumespresso.pw'
        ).store()

    return make


@pytest.fixture(scope='module')
def dying_code(script_code) -> orm.InstalledCode:
    """A stand-in that kills itself."""
    return script_code('dying-stand-in', DYING)


@pytest.fixture(scope='module')
def pair() -> Callable[[float], Structure]:
    """Function that puts two silicon atoms at a distance (Å)."""

    def make(distance: float) -> Structure:
        atoms = bulk('Si', 'diamond', a=5.43)
        atoms.positions[1] = atoms.positions[0] + [0.0, 0.0, distance]
        return Structure(atoms, provenance={'system': 'pair'})

    return make


@pytest.mark.slow
def test_close_atoms_before_and_after_the_calculation(label_by_pw, pw_code, pair, silicon_frames, fresh_level):
    molecule = Structure(Atoms('Si2', [[0.0, 0.0, 0.0], [0.0, 0.0, 2.2]], pbc=False))
    frames = [silicon_frames[0], pair(0.4), pair(1.4), molecule]
    keys = {'max_force': 10.0, 'max_failed_fraction': 0.75} | fresh_level()
    node = label_by_pw(pw_code, frames, 'traincraft.label', **keys)
    assert node.is_finished_ok, node.exit_message
    good, overlapping, close, boxless = node.outputs.ledger.rows
    assert (good.status, good.tries) == ('ok', 1)
    assert (overlapping.status, overlapping.reason, overlapping.tries) == ('failed', 'atoms too close', 0)
    assert overlapping.detail == 'the closest pair is at 0.180 of its covalent radii, allowed 0.5'
    assert overlapping.process is None
    assert (close.status, close.reason, close.tries) == ('failed', 'force too large', 1)
    assert close.detail.endswith('eV/Å, allowed 10 eV/Å')
    assert (boxless.reason, boxless.tries) == ('no cell', 0)
    assert node.outputs.ledger.reasons == {'atoms too close': 1, 'force too large': 1, 'no cell': 1}
    valid = {job.uuid: job.base.caching.is_valid_cache for job in jobs(node)}
    assert valid == {good.process: True, close.process: False}


@pytest.mark.slow
def test_a_batch_hands_over_what_it_cannot_label(label_by_pw, pw_code, pair, silicon_frames, fresh_level):
    frames = [silicon_frames[0], pair(1.4), silicon_frames[1]]
    node = label_by_pw(pw_code, frames, max_force=10.0, batch_size=3, concurrent=2, **fresh_level())
    assert node.is_finished_ok, node.exit_message
    rows = node.outputs.ledger.rows
    assert [(row.status, row.reason, row.tries) for row in rows] == [
        ('ok', None, 1),
        ('failed', 'force too large', 2),
        ('ok', None, 1),
    ]
    (job,) = jobs(node)
    assert rows[1].process == job.uuid
    # The run in the batch and the one by itself.
    assert rows[1].core_seconds > job.outputs.output_parameters['wall_time_seconds'] > 0
    assert not job.base.caching.is_valid_cache


@pytest.mark.slow
def test_an_scf_that_does_not_converge(label_by_pw, pw_code, silicon_frames, fresh_level):
    keywords = {'ELECTRONS': {'electron_maxstep': 1}}
    node = label_by_pw(
        pw_code, silicon_frames[:1], parameters=keywords, max_iterations=2, max_failed_fraction=1.0, **fresh_level()
    )
    row = only_row(node)
    assert (row.status, row.reason, row.tries) == ('failed', 'SCF not converged', 2)
    assert row.process == jobs(node)[-1].uuid
    assert [job.exit_status for job in jobs(node)] == [410, 410]
    assert not any(job.base.caching.is_valid_cache for job in jobs(node))


@pytest.mark.slow
def test_out_of_time(label_by_pw, pw_code, fresh_level):
    atoms = bulk('Si', 'diamond', a=5.43, cubic=True)
    atoms.rattle(0.05, seed=1)
    keys = {'kpoints_distance': 0.35, 'max_iterations': 1, 'max_failed_fraction': 1.0}
    node = label_by_pw(pw_code, [Structure(atoms)], seconds=1, **keys, **fresh_level())
    row = only_row(node)
    assert (row.status, row.reason, row.tries) == ('failed', 'walltime', 1)
    assert not jobs(node)[0].base.caching.is_valid_cache


@pytest.mark.slow
def test_a_metal_with_fixed_occupations(label_by_pw, pw_code, fresh_level):
    atoms = bulk('Al', 'fcc', a=4.05).repeat((2, 1, 1))
    atoms.rattle(0.05, seed=1)
    frames = [Structure(atoms)]
    row = only_row(label_by_pw(pw_code, frames, smearing='none', max_failed_fraction=1.0, **fresh_level()))
    assert (row.status, row.reason) == ('failed', 'no band gap with fixed occupations')
    assert row.detail.endswith('set a smearing')
    row = only_row(label_by_pw(pw_code, frames, **fresh_level()))
    assert row.status == 'ok'


def test_a_code_that_dies(label_by_pw, dying_code, silicon_frames, fresh_level):
    node = label_by_pw(dying_code, silicon_frames[:1], max_failed_fraction=1.0, **fresh_level())
    row = only_row(node)
    assert (row.status, row.reason) == ('failed', 'scheduler failure')
    assert 'Killed' in row.detail
    # Such a run is repeated once.
    assert row.tries == len(jobs(node)) == 2
    assert row.process == jobs(node)[-1].uuid
    assert not any(job.base.caching.is_valid_cache for job in jobs(node))


def test_what_waits_is_skipped_when_too_many_failed(label_by_pw, dying_code, silicon_frames, fresh_level):
    keys = {'max_concurrent': 1, 'max_failed_fraction': 0.25} | fresh_level()
    node = label_by_pw(dying_code, silicon_frames[:5], 'traincraft.label', **keys)
    assert node.exit_status == 410
    assert node.exit_message.startswith('2 of 5 labels failed, more than 25%: ')
    assert '2 x scheduler failure' in node.exit_message
    rows = node.outputs.ledger.rows
    assert [(row.status, row.tries) for row in rows] == [('failed', 2)] * 2 + [('skipped', 0)] * 3
    assert {row.reason for row in rows[2:]} == {'too many others failed'}
    assert len(jobs(node)) == 4
    assert len(node.outputs.manifest) == 0


def test_nothing_is_calculated_without_the_isolated_atom(label_by_pw, dying_code, silicon_frames, fresh_level):
    atom = Structure(Atoms('Si', pbc=False), provenance={'system': 'isolated_atom'})
    keys = {'max_concurrent': 1, 'max_failed_fraction': 0.9} | fresh_level()
    node = label_by_pw(dying_code, [*silicon_frames[:2], atom], **keys)
    *others, last = node.outputs.ledger.rows
    assert (last.status, last.reason) == ('failed', 'scheduler failure')
    assert [(row.status, row.reason) for row in others] == [('skipped', 'an isolated atom failed')] * 2


def test_structures_that_pw_x_cannot_take(label_by_pw, dying_code, silicon_frames, fresh_level):
    molecule, slab, magnet = (silicon_frames[0].copy() for _ in range(3))
    molecule.atoms.set_cell(None)
    molecule.atoms.pbc = False
    slab.atoms.pbc = (True, False, True)
    magnet.atoms.set_initial_magnetic_moments([2.0, -2.0])
    node = label_by_pw(dying_code, [molecule, slab, magnet], max_failed_fraction=1.0, **fresh_level())
    rows = node.outputs.ledger.rows
    assert [row.reason for row in rows] == ['no cell', 'unsupported periodicity', 'moments of a structure']
    assert [(row.status, row.tries) for row in rows] == [('failed', 0)] * 3
    assert not jobs(node)


def test_a_code_that_is_no_pw(label_by_pw, script_code, silicon_frames):
    node = label_by_pw(script_code('other-stand-in', 'echo "what is this?"'), silicon_frames[:1])
    assert node.exit_status == 400
    assert 'pw.x cannot be used' in node.exit_message
    assert 'what is this?' in node.exit_message
    assert not list(node.outputs)


@pytest.mark.slow
def test_a_run_that_breaks_down_once(label_by_pw, pw_code, script_code, silicon_frames, fresh_level, tmp_path):
    mark = tmp_path / 'died'
    dies = f'if [ -s aiida.in ] && mkdir "{mark}" 2>/dev/null; then kill -9 $$; fi'
    lines = f'{dies}\nexec {pw_code.filepath_executable} "$@"'
    node = label_by_pw(script_code('dies-once-stand-in', lines), silicon_frames[:1], **fresh_level())
    row = only_row(node)
    assert (row.status, row.tries) == ('recovered', 2)
    assert row.process == jobs(node)[-1].uuid
    assert mark.exists()


@pytest.mark.slow
def test_the_next_begins_when_the_first_ends(label_by_pw, pw_code, script_code, silicon_frames, fresh_level):
    """Two at a time: behind a slow structure, two fast ones follow one another."""
    lines = f'grep -q "nat = 4" aiida.in 2>/dev/null && sleep 12\nexec {pw_code.filepath_executable} "$@"'
    code = script_code('slow-for-four-atoms-stand-in', lines)
    slow = bulk('Si', 'diamond', a=5.43).repeat((2, 1, 1))
    slow.rattle(0.05, seed=1)
    node = label_by_pw(code, [Structure(slow), *silicon_frames[:2]], max_concurrent=2, **fresh_level())
    assert node.is_finished_ok, node.exit_message
    assert [row.status for row in node.outputs.ledger.rows] == ['ok'] * 3
    first, second, third = sorted(
        (run for run in node.called if run.process_class is PwBaseWorkChain), key=lambda run: run.pk
    )
    assert len(first.inputs.pw.structure.sites) == 4
    assert second.ctime < first.mtime
    # The third waited for the second, and not for the first.
    assert second.mtime < third.ctime < first.mtime
    assert np.isfinite([orm.load_node(uuid).energy for uuid in node.outputs.manifest.uuids]).all()
