"""``traincraft doctor``: what works, and what is broken told in plain words."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from aiida import orm
from aiida.manage.caching import enable_caching, get_use_cache

from aiida_traincraft.launch.doctor import check_computer

# Stand-in for mpirun of Open MPI, started by root.
ROOT_REFUSED = """#!/bin/bash
echo "mpirun has detected an attempt to run as root." >&2
exit 1
"""
# Stand-in for a program that never ends.
HANGS = """#!/bin/bash
sleep 300
"""
# Stand-in for a dynamically linked pw.x whose library is not there.
LIBRARY_GONE = """#!/bin/bash
echo "pw.x: error while loading shared libraries: libfftw3.so.3: cannot open shared object file" >&2
exit 127
"""
# Stand-in for sbatch of Slurm, told a partition that does not exist.
SBATCH_REFUSES = """#!/bin/bash
echo "sbatch: error: invalid partition specified: debugg" >&2
echo "sbatch: error: Batch job submission failed: Invalid partition name specified" >&2
exit 1
"""


@pytest.fixture
def family(traincraft, pseudo_folder) -> str:
    """Name of a family of pseudopotentials with cutoffs."""
    result = traincraft('pseudos', 'install', pseudo_folder, '--family', 'doctors', '--ecutwfc', 12, '--ecutrho', 48)
    assert result.exit_code == 0, result.output
    return 'doctors'


@pytest.fixture
def executable(put) -> Callable[[str, str], Path]:
    """Function that writes a script that stands in for a program, in a folder of its own."""
    return partial(put, 'stand-in')


@pytest.fixture
def computer(aiida_profile, tmp_path) -> Callable[..., orm.Computer]:
    """Function that makes a computer that is not configured yet."""

    def make(label: str, **changes: str) -> orm.Computer:
        settings = {'hostname': 'localhost', 'transport_type': 'core.local', 'scheduler_type': 'core.direct'}
        settings |= {'workdir': str(tmp_path / 'work')} | changes
        made = orm.Computer(label=label, **settings).store()
        made.set_minimum_job_poll_interval(0.0)
        made.set_default_mpiprocs_per_machine(1)
        return made

    return make


@pytest.fixture
def findings(traincraft, campaign_file, campaign_content) -> Callable[..., tuple[int, dict[str, str]]]:
    """Function that runs the doctor on a campaign and returns exit status and lines by role or computer."""

    def run(*options: object) -> tuple[int, dict[str, str]]:
        result = traincraft('doctor', campaign_file(campaign_content), *options)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        lines = [line.split(maxsplit=2) for line in result.output.splitlines()[1:]]
        return result.exit_code, {name.rstrip(':'): f'{state} {rest}' for state, name, rest in lines}

    return run


@pytest.fixture
def pw_finding(findings, campaign_content, python_code, family) -> Callable[..., str]:
    """Function that runs the doctor on a campaign whose labels come from this pw.x; returns the line about it."""

    def run(computer: orm.Computer, path: object, *options: object, **codes: object) -> str:
        label = f'pw-{orm.QueryBuilder().append(orm.InstalledCode).count()}'
        orm.InstalledCode(computer, str(path), label=label, default_calc_job_plugin='quantumespresso.pw').store()
        campaign_content['labelling'] = {'type': 'quantumespresso', 'pseudo_family': family}
        campaign_content['codes']['pw'] = {'code': f'{label}@{computer.label}', **codes}
        # What does not matter here is quick to fail.
        for role in ('ase', 'pace'):
            campaign_content['codes'][role] = {'code': 'nowhere@localhost'}
        status, lines = findings(*options)
        assert status == 1 or lines['pw'].startswith('ok')
        return lines['pw']

    return run


def test_a_profile_that_was_just_made(tmp_path, executable):
    """No campaign, no daemon, no broker, no pseudopotentials."""
    environment = os.environ | {'AIIDA_PATH': str(tmp_path)}

    def call(*arguments: object) -> subprocess.CompletedProcess:
        command = [Path(sys.executable).with_name('traincraft'), '-p', 'new', *map(str, arguments)]
        return subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=3000)

    setup = call('setup', '--create', '--pw', executable('pw.x', ROOT_REFUSED))
    assert setup.returncode == 0, setup.stderr
    doctor = call('doctor')
    # Nobody asked for DFT.
    assert doctor.returncode == 0
    assert doctor.stderr == ''
    lines = {line.split()[1]: line for line in doctor.stdout.splitlines()[1:]}
    assert lines['computer'].startswith('ok')
    assert lines['ase'].startswith('ok      ase (traincraft-ase@localhost): dataset of 12 train, 0 test, 1 e0')
    assert lines['pace'].startswith('ok      pace (traincraft-pace@localhost): linear fit')
    assert lines['pacemaker:'].startswith('skipped')
    assert 'traincraft setup' in lines['pacemaker:']
    assert lines['pw'].startswith('skipped')
    assert 'no pseudopotentials: traincraft pseudos install FOLDER --family NAME' in lines['pw']


@pytest.mark.long
def test_pacemaker(findings, campaign_content, python_code, localhost, pacemaker_python):
    code = orm.InstalledCode(localhost, str(pacemaker_python), label='pacemaker-of-doctor').store()
    campaign_content['training'] |= {'type': 'pace'}
    campaign_content['codes']['pacemaker'] = {'code': code.full_label}
    status, lines = findings()
    assert status == 0, lines
    assert '2 iterations of a fit' in lines['pacemaker']


def test_an_interpreter_without_packages(findings, campaign_content, python_code, localhost, bare_python):
    code = orm.InstalledCode(localhost, str(bare_python), label='bare-of-doctor').store()
    campaign_content['codes']['ase'] = {'code': code.full_label}
    status, lines = findings()
    assert status == 1
    assert lines['ase'].startswith('wrong')
    assert 'package is missing' in lines['ase']
    assert 'ase' in lines['pace']
    assert lines['pace'].startswith('skipped')


def test_real_pw(pw_finding, localhost, pw_executable):
    line = pw_finding(localhost, pw_executable)
    assert line.startswith('ok'), line
    assert "Si2 with 'doctors': -2" in line
    assert 'forces and stress' in line
    assert 'pw.x ' in line


def test_a_keyword_that_pw_does_not_know(findings, campaign_content, pw_finding, localhost, pw_executable):
    """The campaign's own keywords are tried, and what pw.x says of them is told."""
    code = orm.InstalledCode(localhost, pw_executable, label='pw-of-keyword').store()
    campaign_content['labelling'] = {
        'type': 'quantumespresso',
        'pseudo_family': 'doctors',
        'parameters': {'SYSTEM': {'ecutwcf': 30.0}},
    }
    campaign_content['codes'] = {'pw': {'code': code.full_label}, 'ase': {'code': 'nowhere@localhost'}}
    _, lines = findings()
    assert lines['pw'].startswith('wrong')
    assert 'namelist' in lines['pw']


def test_pw_in_a_container(findings, campaign_content, family, localhost, executable, pw_executable):
    """The path of the code exists in the container only."""
    engine = executable('apptainer', f'#!/bin/bash\nshift 3\nexec {pw_executable} "$@"\n')
    settings = {'engine_command': f'{engine} exec {{image_name}}', 'image_name': 'qe.sif', 'label': 'contained-pw'}
    orm.ContainerizedCode(computer=localhost, filepath_executable='/only/inside/pw.x', **settings).store()
    campaign_content['labelling'] = {'type': 'quantumespresso', 'pseudo_family': family}
    campaign_content['codes'] = {'pw': {'code': 'contained-pw@localhost'}, 'ase': {'code': 'nowhere@localhost'}}
    _, lines = findings()
    assert lines['pw'].startswith('ok'), lines['pw']


def test_executable_missing(pw_finding, localhost, tmp_path):
    line = pw_finding(localhost, tmp_path / 'gone' / 'pw.x')
    assert line.startswith('wrong')
    assert f'there is no {tmp_path}/gone/pw.x on localhost' in line


def test_mpirun_refuses_root(pw_finding, localhost, executable):
    line = pw_finding(localhost, executable('pw.x', ROOT_REFUSED))
    assert line.startswith('wrong')
    assert 'attempt to run as root' in line
    assert 'OMPI_ALLOW_RUN_AS_ROOT=1' in line
    assert '[codes.pw]' in line


def test_a_shared_library_is_missing(pw_finding, localhost, executable):
    line = pw_finding(localhost, executable('pw.x', LIBRARY_GONE))
    assert line.startswith('wrong')
    assert 'libfftw3.so.3' in line
    assert 'load the modules' in line


def test_a_program_that_hangs_is_broken_off(pw_finding, localhost, executable):
    line = pw_finding(localhost, executable('pw.x', HANGS), '--timeout', 4)
    assert line.startswith('wrong')
    assert 'no end after 4 s' in line
    assert 'hangs' in line
    job = orm.QueryBuilder().append(orm.CalcJobNode, filters={'label': 'traincraft doctor'}, tag='job')
    job = job.order_by({'job': {'id': 'desc'}}).first(flat=True)
    assert job.is_killed
    assert job.pk in [int(part.strip(')')) for part in line.split('PK ')[1:]]
    with enable_caching():
        assert job.base.caching.should_use_cache() is False
        assert get_use_cache(identifier=job.process_type)


def test_a_family_that_is_not_there(findings, campaign_content, python_code, localhost, executable):
    executable_path = executable('pw.x', ROOT_REFUSED)
    code = orm.InstalledCode(localhost, str(executable_path), label='pw-without-family').store()
    campaign_content['labelling'] = {'type': 'quantumespresso', 'pseudo_family': 'nobodys'}
    campaign_content['codes'] = {'pw': {'code': code.full_label}, 'ase': {'code': 'nowhere@localhost'}}
    status, lines = findings()
    assert status == 1
    assert "no family of pseudopotentials 'nobodys'" in lines['pw']
    assert 'traincraft pseudos install FOLDER --family nobodys' in lines['pw']
    assert 'traincraft setup' in lines['ase']


def test_the_scheduler_refuses(pw_finding, computer, executable, monkeypatch):
    """AiiDA pauses such a job and would wait for ever."""
    path = executable('sbatch', SBATCH_REFUSES).parent
    monkeypatch.setenv('PATH', str(path), prepend=':')
    slurm = computer('slurm', scheduler_type='core.slurm').configure(safe_interval=0.0, use_login_shell=False)
    line = pw_finding(slurm.computer, executable('pw.x', HANGS), queue_name='debugg')
    assert line.startswith('wrong')
    assert 'invalid partition specified: debugg' in line
    assert 'set queue_name and account of [codes.pw]' in line


@pytest.mark.skipif(shutil.which('sbatch') is not None, reason='there is a scheduler here')
def test_a_scheduler_that_is_not_there(pw_finding, computer, executable):
    slurm = computer('no-slurm', scheduler_type='core.slurm').configure(safe_interval=0.0, use_login_shell=False)
    line = pw_finding(slurm.computer, executable('pw.x', HANGS))
    assert line.startswith('wrong')
    assert 'not found' in line
    assert 'correct the scheduler of the computer' in line


def test_computers_that_cannot_be_used(findings, campaign_content, computer, tmp_path):
    (tmp_path / 'file').write_text('')
    full = computer('unwritable', workdir=str(tmp_path / 'file' / 'work'))
    full.configure(safe_interval=0.0, use_login_shell=False)
    away = computer('away', transport_type='core.ssh', hostname='host.invalid')
    for role, made in (('ase', full), ('pace', away)):
        orm.InstalledCode(made, sys.executable, label=f'{role}-there').store()
        campaign_content['codes'][role] = {'code': f'{role}-there@{made.label}'}
    status, lines = findings()
    assert status == 1
    assert lines['ase'].startswith('skipped')
    assert lines['pace'].startswith('skipped')
    with pytest.raises(ValueError, match='nothing can be written to its work folder'):
        check_computer(full)
    with pytest.raises(ValueError, match=r'verdi computer configure core\.ssh away'):
        check_computer(away)
    away.configure(username='nobody', safe_interval=0.0, use_login_shell=False, timeout=2)
    with pytest.raises(ValueError, match=r'host\.invalid cannot be reached'):
        check_computer(away)
