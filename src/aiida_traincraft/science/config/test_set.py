"""Section ``[test_set]``: structures sealed before the first training, never trained on."""

from __future__ import annotations

from pydantic import Field, model_validator

from aiida_traincraft.science.config.base import StrictModel
from aiida_traincraft.science.config.systems import SystemConfig

PREFIX = 'test_'
"""Before the name of a system, it makes the name of the one that tests it."""


class SealedSystemConfig(SystemConfig):
    """A named geometry whose samples are tested on."""

    of: str | None = None
    """System to train on that this one tests; left out, the system ``NAME`` if this one is called ``test_NAME``."""


class TestSetConfig(StrictModel):
    """Systems whose sampled structures form the sealed test set."""

    # pytest would collect a class of this name.
    __test__ = False

    systems: list[SealedSystemConfig] = Field(min_length=1)
    """As ``[[systems]]``, each with the system that it tests."""

    @model_validator(mode='after')
    def _names(self) -> TestSetConfig:
        names = [system.name for system in self.systems]
        if len(set(names)) < len(names):
            raise ValueError('two systems have the same name')
        return self


def tested_system(name: str, of: str | None) -> str:
    """Name of the system that one of the test set, with its key ``of``, tests; there may be none of that name."""
    return name.removeprefix(PREFIX) if of is None else of
