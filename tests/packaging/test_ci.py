"""The jobs of continuous integration: targets of the Makefile that exist, and that leave no test out."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TESTS = ROOT / 'tests'
MAKEFILE = (ROOT / 'Makefile').read_text()
WORKFLOW = yaml.safe_load((ROOT / '.github' / 'workflows' / 'ci.yml').read_text())
JOB = WORKFLOW['jobs']['make']
MATRIX: dict[str, Any] = JOB['strategy']['matrix']
WITH_EVERYTHING = 'test-campaigns'
PROGRAMS = {'pw_executable': 'test-pw', 'mace_python': 'test-mace', 'pacemaker_python': 'test-pace'}
"""Target whose job has the program that a fixture asks for."""


def pairs() -> list[tuple[str, str]]:
    """Target and version of Python of every job."""
    found = [(target, python) for target in MATRIX['target'] for python in MATRIX['python']]
    return found + [(extra['target'], extra['python']) for extra in MATRIX['include']]


def test_jobs_run_targets_that_exist():
    assert list(WORKFLOW['jobs']) == ['make']
    assert [step['run'] for step in JOB['steps'] if 'run' in step] == ['make ${{ matrix.target }}']
    targets = set(re.findall(r'^([a-z][a-z-]*):', MAKEFILE, re.MULTILINE))
    phony = set(' '.join(re.findall(r'^\.PHONY: (.*)', MAKEFILE, re.MULTILINE)).split())
    assert {target for target, _ in pairs()} <= targets & phony


def test_every_version_of_python_is_linted_and_runs_the_science_floor():
    assert len(set(pairs())) == len(pairs())
    for target in ('lint', 'test-science'):
        assert {python for name, python in pairs() if name == target} == {'3.11', '3.12', '3.13'}


def selected(target: str) -> set[Path]:
    """Test files that a target runs."""
    done = subprocess.run(['make', '--dry-run', target], check=True, cwd=ROOT, capture_output=True, text=True)
    (line,) = re.findall(r'^\S+/pytest .*', done.stdout, re.MULTILINE)
    words = shlex.split(line)
    assert '-m' not in words
    assert '-k' not in words
    left_out = [ROOT / word.removeprefix('--ignore=') for word in words if word.startswith('--ignore=')]
    found = set()
    for pattern in (word for word in words if word.startswith('tests')):
        paths = list(ROOT.glob(pattern))
        assert paths, f'{target} names {pattern}, which is not there'
        found |= {test for path in paths for test in (path.rglob('test_*.py') if path.is_dir() else [path])}
    return {path for path in found if not any(path.is_relative_to(folder) for folder in left_out)}


@pytest.fixture(scope='module')
def files() -> dict[str, set[Path]]:
    """Test files by the target that runs them."""
    if shutil.which('make') is None:
        pytest.skip('there is no make')
    return {target: selected(target) for target in MATRIX['target'] if target.startswith('test-')}


def test_every_test_has_a_job(files):
    assert set().union(*files.values()) == set(TESTS.rglob('test_*.py'))


def functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]


def asked_for(function: ast.FunctionDef) -> set[str]:
    """Fixtures that a test or fixture asks for: its arguments, and names that it asks for in its body."""
    names = {argument.arg for argument in function.args.args}
    return names | {node.value for node in ast.walk(function) if isinstance(node, ast.Constant)}


@pytest.mark.parametrize(('fixture', 'target'), PROGRAMS.items())
def test_a_test_runs_where_its_program_is(files, fixture, target):
    shared = [*TESTS.rglob('conftest.py'), TESTS / 'quantumespresso.py']
    fixtures = [function for path in shared for function in functions(path)]
    needing = {fixture}
    while more := {function.name for function in fixtures if asked_for(function) & needing} - needing:
        needing |= more
    runs = files[target] | files[WITH_EVERYTHING]
    asking = {path for path in TESTS.rglob('test_*.py') if any(asked_for(test) & needing for test in functions(path))}
    assert asking
    assert sorted(str(path.relative_to(ROOT)) for path in asking - runs) == []
