"""Explorer ``ase``: any registered sampler through ASE."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aiida_traincraft.science.config.fields import SamplerField
from aiida_traincraft.science.config.kinds import ExplorerConfig
from aiida_traincraft.science.registry import register


@register('explorer', 'ase')
class AseExploration(ExplorerConfig):
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
