"""What the source imports is declared, and what is declared is imported."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from aiida_traincraft.science.optional import LIBRARIES, ROLES

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
NAME = PROJECT['name']
SOURCE, TESTS = ROOT / 'src', ROOT / 'tests'
DISTRIBUTIONS = packages_distributions()
NOT_INSTALLED_HERE = {'mace': 'mace-torch'}
"""Distributions whose name is not that of their package, of environments other than this one."""


def requirements(lines: list[str]) -> dict[str, Requirement]:
    found = map(Requirement, lines)
    return {canonicalize_name(requirement.name): requirement for requirement in found if requirement.name != NAME}


DEPENDENCIES = requirements(PROJECT['dependencies'])
BY_EXTRA = {extra: requirements(lines) for extra, lines in PROJECT['optional-dependencies'].items()}
DECLARED = DEPENDENCIES.keys() | {name for extra in BY_EXTRA.values() for name in extra}


def imported_modules(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module if node.level == 0 and node.module else 'aiida_traincraft'


def third_party(folder: Path, ours: Iterable[str] = ()) -> dict[str, set[str]]:
    """Files by the package of others that they import, anywhere in them."""
    known = {'aiida_traincraft', *sys.stdlib_module_names, *ours}
    found = defaultdict(set)
    for path in folder.rglob('*.py'):
        for module in imported_modules(ast.parse(path.read_text())):
            package = module.partition('.')[0]
            if package not in known:
                found[package].add(str(path.relative_to(ROOT)))
    return dict(found)


def distributions(package: str) -> set[str]:
    """Distributions that a package may come from."""
    names = DISTRIBUTIONS.get(package, [NOT_INSTALLED_HERE.get(package, package)])
    return {canonicalize_name(name) for name in names}


def test_source_imports_nothing_undeclared():
    imports = third_party(SOURCE)
    assert {'aiida', 'ase', 'numpy', 'pydantic', 'sqlalchemy', 'torch'} <= imports.keys()
    ours_to_use = DEPENDENCIES.keys() | {
        name for extra in BY_EXTRA.keys() - {'lint', 'test'} for name in BY_EXTRA[extra]
    }
    undeclared = {package: files for package, files in imports.items() if not distributions(package) & ours_to_use}
    assert undeclared == {}


def test_tests_import_nothing_undeclared():
    ours = {path.stem for folder in (TESTS, ROOT / 'benchmarks') for path in folder.rglob('*')} - DISTRIBUTIONS.keys()
    undeclared = {name: files for name, files in third_party(TESTS, ours).items() if not distributions(name) & DECLARED}
    assert undeclared == {}


def test_every_dependency_is_imported():
    imported = set().union(*map(distributions, third_party(SOURCE)))
    assert DEPENDENCIES.keys() - imported == set()


@pytest.mark.parametrize(('library', 'told'), LIBRARIES.items())
def test_message_names_what_installs_a_library(library, told):
    (requirement,) = [extra[name] for extra in BY_EXTRA.values() for name in distributions(library) & extra.keys()]
    assert Requirement(told) == requirement


@pytest.mark.parametrize('role', ROLES)
def test_message_names_what_an_interpreter_needs(role):
    declared = DEPENDENCIES | BY_EXTRA.get(role, {})
    assert all(declared[Requirement(told).name] == Requirement(told) for told in ROLES[role])


@pytest.mark.parametrize('name', DEPENDENCIES)
def test_installed_version_is_within_the_declared_range(name):
    assert DEPENDENCIES[name].specifier.contains(version(name), prereleases=True)
