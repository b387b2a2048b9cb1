"""Section ``[exploration]``: where the model is asked for its uncertainty."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from aiida_traincraft.science.config.base import PluginConfig, SamplerField
from aiida_traincraft.science.registry import register


class ExplorationConfig(PluginConfig):
    """What every explorer has: thresholds in the measure of the potential that explores."""

    gamma_lo: float = Field(default=2.0, gt=0)
    """ACE: frames above this extrapolation grade (no unit) are candidates."""
    gamma_hi: float = Field(default=10.0, gt=0)
    """ACE: a run halts above this extrapolation grade."""
    spread_lo: float = Field(default=0.1, gt=0)
    """Committee: frames in which the forces on an atom spread by more than this (eV/Å) are candidates."""
    spread_hi: float = Field(default=0.5, gt=0)
    """Committee: a run halts when the forces on an atom spread by more than this (eV/Å)."""

    @model_validator(mode='after')
    def _window(self) -> ExplorationConfig:
        for low, high in (('gamma_lo', 'gamma_hi'), ('spread_lo', 'spread_hi')):
            lo, hi = getattr(self, low), getattr(self, high)
            if lo >= hi:
                raise ValueError(f'"{low}" ({lo}) must be below "{high}" ({hi})')
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
