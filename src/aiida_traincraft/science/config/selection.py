"""Section ``[selection]``: the funnel from candidates to structures worth a label."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from aiida_traincraft.science.config.base import StrictModel
from aiida_traincraft.science.config.fields import SelectorField

# Measured best: four fifths by uncertainty and diversity, one fifth at random (docs/decisions/selection.md).
DEFAULT_STAGES: list[dict[str, Any]] = [
    {'type': 'physicality'},
    {'type': 'dedup'},
    {'type': 'random', 'fraction': 0.2},
    {'type': 'uncertainty'},
    {'type': 'diversity', 'fraction': 0.8},
    {'type': 'budget'},
]


class SelectionConfig(StrictModel):
    """Stages of the funnel, in order, and the labels one cycle may spend."""

    budget: int = Field(default=20, ge=1)
    """Most structures labelled per cycle."""
    stages: list[SelectorField] = Field(default_factory=lambda: list(DEFAULT_STAGES), validate_default=True)
    """Stages in the order in which they run."""

    @model_validator(mode='after')
    def _picks(self) -> SelectionConfig:
        if not self.stages:
            raise ValueError('"stages" is empty: nothing would ever be selected')
        return self
