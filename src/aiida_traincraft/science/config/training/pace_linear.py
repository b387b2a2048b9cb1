"""Section ``[training]``: the potential and how it is fitted."""

from __future__ import annotations

from typing import ClassVar, Literal

from aiida_traincraft.science.config.training.base import PaceTraining
from aiida_traincraft.science.registry import register


@register('trainer', 'pace_linear')
class PaceLinearTraining(PaceTraining):
    """Linear ACE by least squares on pyace's own basis: seconds."""

    aliases: ClassVar[tuple[str, ...]] = ('linear', 'ace_linear', 'linear_ace')
    type: Literal['pace_linear'] = 'pace_linear'
