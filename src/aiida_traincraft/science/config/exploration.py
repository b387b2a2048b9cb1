"""Section ``[exploration]``: where the model is asked for its uncertainty."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from aiida_traincraft.science.config.base import PluginConfig, SamplerField
from aiida_traincraft.science.registry import register


class ExplorationConfig(PluginConfig):
    """What every explorer has; thresholds are in the potential's own measure (γ for ACE, no unit)."""

    gamma_lo: float = Field(default=2.0, gt=0)
    """Frames above this extrapolation grade are candidates."""
    gamma_hi: float = Field(default=10.0, gt=0)
    """A run halts above this extrapolation grade."""

    @model_validator(mode='after')
    def _window(self) -> ExplorationConfig:
        if self.gamma_lo >= self.gamma_hi:
            raise ValueError(f'"gamma_lo" ({self.gamma_lo}) must be below "gamma_hi" ({self.gamma_hi})')
        return self


@register('explorer', 'ase')
class AseExploration(ExplorationConfig):
    """A registered sampler driven by the potential through ASE, on the compute node."""

    type: Literal['ase'] = 'ase'
    sampling: SamplerField
    """The sampler that drives the exploration."""
    runs_per_system: int = Field(default=2, ge=1)
    """Runs per system and cycle; each starts from another training structure of that system."""
    check_interval: int = Field(default=10, ge=1)
    """Steps between two evaluations of the uncertainty."""
    record_interval: int = Field(default=100, ge=1)
    """Steps between two frames kept whatever their uncertainty."""
