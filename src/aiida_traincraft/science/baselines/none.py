"""Baseline ``none``: all is learnt."""

from __future__ import annotations

from typing import ClassVar, Literal

from aiida_traincraft.science.config.kinds import BaselineConfig
from aiida_traincraft.science.models.pair import PairCalculator
from aiida_traincraft.science.registry import register


class NoneConfig(BaselineConfig):
    """No baseline."""

    subtracts: ClassVar[bool] = False
    core_repulsion: ClassVar[bool] = False
    type: Literal['none'] = 'none'


@register('baseline', 'none', NoneConfig)
def make_none(config: NoneConfig) -> PairCalculator:
    """No baseline: everything is learnt, and nothing holds an ACE below the distances of its data.

    Examples
    --------
    .. code-block:: toml

        [training]
        type = "pace_linear"
        baseline = { type = "none" }
    """
    return PairCalculator({})
