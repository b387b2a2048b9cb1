"""Fixtures of the science floor."""

import pytest

from aiida_traincraft.science import registry


@pytest.fixture
def restored_registry(monkeypatch):
    """The registry with all built-in plugins; what a test adds is gone after it."""
    registry.load_plugins()
    monkeypatch.setattr(registry, '_plugins', dict(registry._plugins))
    monkeypatch.setattr(registry, '_loaded', set(registry._loaded))
