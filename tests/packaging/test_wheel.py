"""What a user installs: a wheel, built from the source distribution as an index holds it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / 'src' / 'aiida_traincraft'
BUILD = 'import sys, hatchling.build; getattr(hatchling.build, sys.argv[1])(sys.argv[2])'
LOAD = """
from importlib.metadata import distribution

import aiida_traincraft

found = distribution('aiida-traincraft')
for entry_point in found.entry_points:
    entry_point.load()
print(len(found.entry_points), found.locate_file('aiida_traincraft'), aiida_traincraft.__file__, sep='\\n')
"""


def run(*command: object, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    done = subprocess.run(
        [str(part) for part in command],
        check=False,
        cwd=cwd,
        env=environment | {'AIIDA_PATH': str(cwd), 'COLUMNS': '200'},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob('*') if path.is_file() and path.suffix != '.pyc')
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp('wheel')


@pytest.fixture(scope='module')
def environment(folder) -> Path:
    """A new virtual environment with the wheel alone; dependencies come from the one that runs the tests."""
    run(sys.executable, '-c', BUILD, 'build_sdist', folder, cwd=ROOT)
    (archive,) = folder.glob('*.tar.gz')
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter='data')
    unpacked = archive.with_name(archive.name.removesuffix('.tar.gz'))
    run(sys.executable, '-c', BUILD, 'build_wheel', folder, cwd=unpacked)
    (wheel,) = folder.glob('*.whl')
    path = folder / 'environment'
    run(sys.executable, '-m', 'venv', '--without-pip', path, cwd=folder)
    pip = (sys.executable, '-m', 'pip', '--python', path / 'bin' / 'python', 'install', '--quiet')
    run(*pip, '--no-deps', '--no-index', '--no-compile', wheel, cwd=folder)
    # A folder named in a .pth file comes last, and the .pth file of our editable install in it is not read.
    (installed(path).parent / 'dependencies.pth').write_text(sysconfig.get_path('purelib'))
    return path


def installed(environment: Path) -> Path:
    """The package in there."""
    (found,) = environment.glob('lib/python*/site-packages')
    return found / SOURCE.name


def test_every_file_of_the_tree_is_installed(environment):
    expected = files(SOURCE)
    assert {'py.typed', 'report/page.css', 'science/geometry/__init__.py'} <= expected.keys()
    assert any(name.startswith('templates/') for name in expected)
    found = files(installed(environment))
    assert found.keys() == expected.keys()
    assert [name for name, content in expected.items() if found[name] != content] == []


def test_every_entry_point_loads_from_the_wheel(environment, folder):
    count, located, imported = run(environment / 'bin' / 'python', '-c', LOAD, cwd=folder).split('\n')[-4:-1]
    assert int(count) > 40
    assert Path(located) == installed(environment)
    assert Path(imported) == installed(environment) / '__init__.py'


def test_the_command_lists_the_plugins(environment, folder):
    found = run(environment / 'bin' / 'traincraft', 'plugins', cwd=folder)
    assert {'crystal', 'diversity', 'emt', 'md', 'supercell'} <= set(found.split())
