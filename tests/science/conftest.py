"""Fixtures of the science floor."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import aiida_traincraft
from aiida_traincraft.science import registry


@pytest.fixture
def restored_registry(monkeypatch):
    """The registry with all built-in plugins; what a test adds is gone after it."""
    registry.plugins()
    monkeypatch.setattr(registry, '_plugins', dict(registry._plugins))
    monkeypatch.setattr(registry, '_loaded', set(registry._loaded))


@pytest.fixture(scope='session')
def run_with_mace(mace_python) -> Callable[..., str]:
    """Function that runs Python with arguments where MACE is, on the science floor; returns what it prints."""
    environment = os.environ | {'PYTHONPATH': str(Path(aiida_traincraft.__file__).parents[1])}

    def run(*arguments: str | Path) -> str:
        done = subprocess.run([mace_python, *arguments], check=False, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope='session')
def mace_models(run_with_mace, tmp_path_factory) -> Path:
    """Folder of untrained models of copper and aluminium, of every class (see ``build_mace_models.py``)."""
    folder = tmp_path_factory.mktemp('mace_models')
    run_with_mace(Path(__file__).with_name('build_mace_models.py'), folder)
    return folder
