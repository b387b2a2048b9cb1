from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from aiida import orm

# Stand-in for pw.x: it is found, and never run here.
PROGRAM = '#!/bin/bash\n'
# Stand-ins for the mpirun of Open MPI, which does not start as root, and of one that does.
STRICT_MPIRUN = '#!/bin/bash\necho "mpirun has detected an attempt to run as root." >&2\nexit 1\n'
EASY_MPIRUN = '#!/bin/bash\nexit 0\n'


@pytest.fixture
def pw_line(traincraft, localhost) -> Callable[..., str]:
    """Function that runs ``traincraft setup`` and returns the line about pw.x."""

    def run(*options: object) -> str:
        result = traincraft('setup', *options)
        assert result.exit_code == 0, result.output
        (line,) = [line for line in result.output.splitlines() if 'traincraft-pw: ' in line]
        return line

    return run


def test_pw_given_and_kept(pw_line, put):
    first, second = put('one', 'pw.x', PROGRAM), put('two', 'pw.x', PROGRAM)
    assert f'traincraft-pw: {first} (new' in pw_line('--pw', first)
    code = orm.load_code('traincraft-pw@localhost')
    assert code.default_calc_job_plugin == 'quantumespresso.pw'
    assert code.with_mpi is None
    before = orm.QueryBuilder().append(orm.Node).count()
    # What is on PATH does not take the place of what was given.
    for options in (('--pw', first), ()):
        assert pw_line(*options).endswith(f'{first} (there already)')
    assert orm.QueryBuilder().append(orm.Node).count() == before
    line = pw_line('--pw', second)
    assert f'traincraft-pw: {second} (new; the one before is now traincraft-pw-{code.pk})' in line
    assert str(orm.load_code('traincraft-pw@localhost').filepath_executable) == str(second)


def test_pw_on_path_and_nowhere(pw_line, put, monkeypatch):
    gone = put('gone', 'pw.x', PROGRAM)
    pw_line('--pw', gone)
    gone.unlink()
    with monkeypatch.context() as patch:
        patch.setenv('PATH', str(gone.parent))
        line = pw_line()
    assert 'code traincraft-pw: not found (no pw.x on PATH)' in line
    for remedy in ('apt install quantum-espresso', 'conda', 'module', 'verdi code list', '[codes.pw]'):
        assert remedy in line
    there = put('there', 'pw.x', PROGRAM)
    monkeypatch.setenv('PATH', str(there.parent), prepend=os.pathsep)
    assert f'traincraft-pw: {there} (new' in pw_line()


@pytest.mark.skipif(os.geteuid() != 0, reason='for root only')
def test_open_mpi_as_root_is_allowed_where_it_has_to_be(pw_line, put, monkeypatch):
    for folder, mpirun, wanted in (('strict', STRICT_MPIRUN, True), ('easy', EASY_MPIRUN, False)):
        path = put(folder, 'mpirun', mpirun).parent
        monkeypatch.setenv('PATH', str(path), prepend=os.pathsep)
        pw_line('--pw', put(folder, 'pw.x', PROGRAM))
        text = orm.load_code('traincraft-pw@localhost').prepend_text
        assert 'export OMP_NUM_THREADS=' in text
        assert ('export OMPI_ALLOW_RUN_AS_ROOT=1\nexport OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1' in text) is wanted
