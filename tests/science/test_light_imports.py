"""Modules of the science floor travel to compute nodes, where only ASE, its own needs and pydantic are sure to be."""

from __future__ import annotations

import ast
import subprocess
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


def test_a_campaign_is_checked_without_what_only_spectra_need(tmp_path):
    """``scipy.signal`` takes half a second of CPU to import."""
    code = (
        'import sys, aiida_traincraft.science.campaign.checks; from aiida_traincraft.science import registry; '
        '[registry.get("validator", name) for name in registry.names("validator")]; '
        'sys.exit("scipy.signal" in sys.modules)'
    )
    assert subprocess.run([sys.executable, '-c', code], check=False, cwd=tmp_path).returncode == 0
