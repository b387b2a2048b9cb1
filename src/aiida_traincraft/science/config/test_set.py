"""Section ``[test_set]``: structures sealed before the first training, never trained on."""

from __future__ import annotations

from pydantic import Field, model_validator

from aiida_traincraft.science.config.base import StrictModel
from aiida_traincraft.science.config.systems import SystemConfig


class TestSetConfig(StrictModel):
    """Systems whose sampled structures form the sealed test set."""

    # pytest would collect a class of this name.
    __test__ = False

    systems: list[SystemConfig] = Field(min_length=1)
    """As ``[[systems]]``."""

    @model_validator(mode='after')
    def _names(self) -> TestSetConfig:
        names = [system.name for system in self.systems]
        if len(set(names)) < len(names):
            raise ValueError('two systems have the same name')
        return self
