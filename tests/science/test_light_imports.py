"""Modules of the science floor travel to compute nodes, where only ASE, its own needs and pydantic are sure to be."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import aiida_traincraft.science

FOLDER = Path(aiida_traincraft.science.__file__).parent
ALLOWED = {'aiida_traincraft', 'ase', 'numpy', 'pydantic', 'pydantic_core', 'scipy', *sys.stdlib_module_names}
MODULES = sorted(FOLDER.rglob('*.py'))


@pytest.mark.parametrize('path', MODULES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_only_light_packages_are_imported_at_the_top(path):
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or '').partition('.')[0])
    assert found <= ALLOWED
