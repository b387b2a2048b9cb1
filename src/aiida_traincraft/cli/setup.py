"""``traincraft setup``: computer and codes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from aiida import orm

# AiiDA's daemon hands its own sys.path to local jobs, where it would shadow the packages of another environment.
PREPEND_TEXT = 'unset PYTHONPATH'
# Threads of every MPI process would get in each other's way; a plain "=1" would overrule omp_num_threads of [codes.pw].
PW_PREPEND_TEXT = 'export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}'
AS_ROOT = ('OMPI_ALLOW_RUN_AS_ROOT', 'OMPI_ALLOW_RUN_AS_ROOT_CONFIRM')
PW = 'traincraft-pw'
PW_REMEDY = (
    '"apt install quantum-espresso", conda ("conda install -c conda-forge qe"), or a module on the cluster; then '
    '"traincraft setup --pw PATH", or name a code of "verdi code list" in [codes.pw]'
)


@click.command()
@click.option('--create', is_flag=True, help='Make the profile (SQLite and ZeroMQ, no services) if it is not there.')
@click.option(
    '--python',
    'pythons',
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='Further Python interpreters to look for codes in; repeat for several.',
)
@click.option(
    '--pw',
    type=click.Path(exists=True, dir_okay=False, executable=True, path_type=Path),
    help='pw.x of Quantum ESPRESSO; the one on PATH without it.',
)
@click.option('--wal', is_flag=True, help='Write-ahead log for SQLite: faster, for local disks only.')
@click.pass_obj
def setup(profile: str | None, create: bool, pythons: tuple[Path, ...], pw: Path | None, wal: bool) -> None:
    """Set up the localhost computer and the codes found, in the profile named; repeating it does no harm."""
    from aiida_traincraft.cli import profile as profiles
    from aiida_traincraft.launch.interpreters import REQUIREMENTS, missing_packages

    if create:
        _create_profile(profile)
    name = profiles.load(profile)
    click.echo(f'profile {name}')
    if wal:
        _enable_wal()
    computer = _localhost()
    click.echo(f'computer {computer.label}: work in {computer.get_workdir()}')
    # Not resolved: an environment is known by its link, not by the interpreter behind it.
    interpreters = [Path(sys.executable), *(Path.cwd() / python for python in pythons)]
    for role, packages, remedy in REQUIREMENTS:
        lacking = {python: missing_packages(python, packages) for python in interpreters}
        found = [python for python, missing in lacking.items() if not missing]
        if not found:
            gaps = '; '.join(f'{python} lacks {", ".join(missing)}' for python, missing in lacking.items())
            click.echo(f'code traincraft-{role}: not found ({gaps}). To get it: {remedy}')
            continue
        click.echo(f'code {_code(computer, f"traincraft-{role}", found[0], PREPEND_TEXT)}')
    click.echo(f'code {_pw_code(computer, pw)}')


def _create_profile(name: str | None) -> None:
    from aiida.manage.configuration import create_profile, get_config
    from aiida.plugins import BrokerFactory

    from aiida_traincraft.cli.profile import DAEMON_TIMEOUT

    if name is None:
        raise click.ClickException('name the profile to create: traincraft -p NAME setup --create')
    config = get_config(create=True)
    if name in config.profile_names:
        return
    create_profile(
        config,
        name=name,
        email='traincraft@localhost',
        storage_backend='core.sqlite_dos',
        storage_config={},
        broker_backend='core.zeromq',
        broker_config=BrokerFactory('core.zeromq').get_default_config(),
    )
    config.set_option('runner.poll.interval', 1, scope=name)
    config.set_option('daemon.timeout', DAEMON_TIMEOUT, scope=name)
    if config.default_profile_name is None:
        config.set_default_profile(name)
    config.store()
    click.echo(f'profile {name} is new: SQLite storage, ZeroMQ broker')


def _enable_wal() -> None:
    import sqlite3

    from aiida.manage import get_manager

    storage = get_manager().get_profile_storage()
    if not type(storage).__module__.startswith('aiida.storage.sqlite_dos'):
        raise click.ClickException('--wal is for profiles with SQLite storage')
    with sqlite3.connect(storage.filepath_database) as connection:
        connection.execute('PRAGMA journal_mode=WAL')


def _localhost() -> orm.Computer:
    from aiida import orm
    from aiida.manage.configuration import get_config

    created, computer = orm.Computer.collection.get_or_create(
        label='localhost',
        hostname='localhost',
        transport_type='core.local',
        scheduler_type='core.direct',
        workdir=str(Path(get_config().dirpath) / 'scratch'),
    )
    if created:
        computer.store()
        computer.set_minimum_job_poll_interval(0.5)
        computer.set_default_mpiprocs_per_machine(1)
    if not computer.is_configured:
        # A login shell costs up to a second per job and gives our interpreters nothing.
        computer.configure(safe_interval=0.0, use_login_shell=False)
    return computer


def _pw_code(computer: orm.Computer, pw: Path | None) -> str:
    if pw is None:
        there = _find_code(f'{PW}@{computer.label}')
        if there is not None and Path(there.filepath_executable).exists():
            # It may have been given with --pw: what is on PATH does not take its place.
            return f'{PW}: {there.filepath_executable} (there already)'
    executable = pw or shutil.which('pw.x')
    if executable is None:
        return f'{PW}: not found (no pw.x on PATH). To get it: {PW_REMEDY}'
    return _code(computer, PW, Path.cwd() / executable, _pw_prepend_text(), 'quantumespresso.pw')


def _pw_prepend_text() -> str:
    """Shell lines before pw.x; Open MPI does not start as root without being told twice."""
    mpirun = shutil.which('mpirun')
    if os.geteuid() != 0 or mpirun is None:
        return PW_PREPEND_TEXT
    environment = {name: value for name, value in os.environ.items() if name not in AS_ROOT}
    tried = subprocess.run([mpirun, '-n', '1', 'true'], check=False, capture_output=True, text=True, env=environment)
    if tried.returncode == 0 or 'root' not in tried.stderr:
        return PW_PREPEND_TEXT
    return '\n'.join([PW_PREPEND_TEXT, *(f'export {name}=1' for name in AS_ROOT)])


def _find_code(label: str) -> orm.AbstractCode | None:
    from aiida import orm
    from aiida.common.exceptions import NotExistent

    try:
        return orm.load_code(label)
    except NotExistent:
        return None


def _code(computer: orm.Computer, label: str, executable: Path, prepend_text: str, plugin: str | None = None) -> str:
    from aiida import orm

    code = _find_code(f'{label}@{computer.label}')
    if code is not None and str(code.filepath_executable) == str(executable) and code.prepend_text == prepend_text:
        return f'{label}: {executable} (there already)'
    if code is not None:
        # A stored code never changes: the old one steps aside under another label.
        code.label = f'{label}-{code.pk}'
    orm.InstalledCode(
        computer, str(executable), label=label, prepend_text=prepend_text, default_calc_job_plugin=plugin
    ).store()
    return f'{label}: {executable} ' + (f'(new; the one before is now {code.label})' if code else '(new)')
