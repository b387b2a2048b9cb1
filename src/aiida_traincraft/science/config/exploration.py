"""Section ``[exploration]``: where the model is asked for its uncertainty."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from aiida_traincraft.science.config.base import PluginConfig, SamplerField, StrictModel
from aiida_traincraft.science.registry import register


class ForceErrorLimit(StrictModel):
    """A force error that is accepted, in place of thresholds of the uncertainty."""

    max_force_error: str | None = Field(default=None, pattern=r'^\s*\d+(\.\d*)?\s*(meV|eV)/(Å|A|Angstrom)\s*$')
    """Accepted error of the force on an atom, with its unit, such as "80 meV/Å": each cycle, thresholds of the
    uncertainty are found on the sealed test set that keep it. Those given stay in force where none can be found."""
    confidence: float = Field(default=0.9, ge=0.5, le=0.999)
    """Share of the atoms whose force error the calibrated bound has to cover (no unit)."""

    @property
    def force_error(self) -> float | None:
        """Accepted error (eV/Å)."""
        if self.max_force_error is None:
            return None
        number, unit = self.max_force_error.split('/')[0].replace('eV', ' eV').replace('m eV', ' meV').split()
        return float(number) * (1e-3 if unit == 'meV' else 1.0)

    @model_validator(mode='after')
    def _positive(self) -> ForceErrorLimit:
        if self.force_error == 0:
            raise ValueError('"max_force_error" must be above 0')
        return self


class ExplorationConfig(PluginConfig, ForceErrorLimit):
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
