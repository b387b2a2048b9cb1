"""The public names: cheap to import, all there, documented, and enough for all that the documentation shows."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import aiida_traincraft
from aiida_traincraft.calculations.science_zip import science_zip

ROOT = Path(__file__).parents[1]
STUB = Path(aiida_traincraft.__file__).with_suffix('.pyi')
PAGES = [
    ROOT / 'README.md',
    ROOT / 'CONTRIBUTING.md',
    *sorted((ROOT / 'docs').glob('*.md')),
    *sorted((ROOT / 'examples').iterdir()),
    *sorted((ROOT / 'src' / 'aiida_traincraft' / 'templates').iterdir()),
]
DEEPER = re.compile(r'\b(?:from|import)\s+(aiida_traincraft\.[\w.]+)')
OURS = re.compile(r'^from aiida_traincraft import (\([^)]*\)|.*)$', re.MULTILINE)
WORKER = ('CONTRIBUTING.md', 'aiida_traincraft.science.worker.main')
"""How outputs of real programs are recorded: by the worker itself, in environments that have nothing else."""
IN_A_JOB = """
import sys

import aiida_traincraft


class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('aiida', 'plumpy', 'kiwipy'):
            raise ModuleNotFoundError(f'{name} is blocked', name=name)


sys.meta_path.insert(0, Blocker())
for name in aiida_traincraft.__all__:
    try:
        getattr(aiida_traincraft, name)
    except ImportError as error:
        print('absent', name, '|', error)
    else:
        print('there', name)
"""


def python(script: str, **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, '-c', script], env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def imports_of_stub() -> list[tuple[str, ast.alias]]:
    """Module and name of every import in the stub."""
    nodes = [node for node in ast.parse(STUB.read_text()).body if isinstance(node, ast.ImportFrom)]
    return [(str(node.module), alias) for node in nodes for alias in node.names]


def homes() -> dict[str, str]:
    """Module of every public name, as the stub has it."""
    return {alias.name: module for module, alias in imports_of_stub()}


def test_importing_the_package_imports_nothing_else():
    lines = ['from __future__ import annotations', 'import importlib, sys, typing', 'print(*sys.modules)']
    (before,) = python('\n'.join(lines))
    (after,) = python('\n'.join([*lines[:2], 'import aiida_traincraft; dir(aiida_traincraft)', lines[2]]))
    assert set(after.split()) - set(before.split()) == {'aiida_traincraft'}


@pytest.mark.parametrize('name', aiida_traincraft.__all__)
def test_every_name_is_there_and_documented(name):
    value = getattr(aiida_traincraft, name)
    assert re.search(rf'`{name}[`(]', (ROOT / 'docs' / 'python.md').read_text())
    assert name in dir(aiida_traincraft)
    if name != '__version__':
        assert value.__doc__
        assert getattr(aiida_traincraft, name) is value


def test_type_checkers_see_the_same_names():
    assert sorted(homes()) == sorted(set(aiida_traincraft.__all__) - {'__version__'})
    assert all(alias.asname == alias.name for _, alias in imports_of_stub())
    for name, module in homes().items():
        assert getattr(importlib.import_module(module), name) is getattr(aiida_traincraft, name)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'aiida_traincraft' has no attribute 'load_champaign'"):
        _ = aiida_traincraft.load_champaign  # type: ignore[attr-defined]
    assert not hasattr(aiida_traincraft, 'nothing')


def test_a_job_has_the_names_of_the_science_floor_and_says_what_it_lacks(tmp_path):
    archive = tmp_path / 'traincraft.zip'
    archive.write_bytes(science_zip())
    lines = python(IN_A_JOB, PYTHONPATH=str(archive))
    of_science = {name for name, module in homes().items() if module.startswith('aiida_traincraft.science.')}
    assert {line.split()[1] for line in lines if line.startswith('there')} == of_science | {'__version__'}
    absent = [line for line in lines if line.startswith('absent')]
    assert len(absent) == len(homes()) - len(of_science) > 20
    for line in absent:
        name, message = line.removeprefix('absent ').split(' | ')
        assert message.startswith(f'aiida_traincraft.{name} needs {homes()[name]}, which cannot be imported here: ')


def test_plugins_and_users_need_nothing_deeper():
    assert len(PAGES) > 25
    assert DEEPER.findall('from aiida_traincraft.science import registry; import aiida_traincraft.data as data') == [
        'aiida_traincraft.science',
        'aiida_traincraft.data',
    ]
    found = {(page.name, module) for page in PAGES for module in DEEPER.findall(page.read_text())}
    assert found == {WORKER}


def test_what_is_imported_is_public():
    pages = [*PAGES, *(ROOT / 'docs').glob('*.py')]
    lists = [found for page in pages for found in OURS.findall(page.read_text())]
    assert len(lists) > 15
    names = {name for found in lists for name in re.findall(r'\w+', found)}
    assert names <= set(aiida_traincraft.__all__)
