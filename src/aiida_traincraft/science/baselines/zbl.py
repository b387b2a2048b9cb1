"""Baseline ``zbl``: pacemaker's core repulsion."""

from __future__ import annotations

from typing import ClassVar, Literal

from aiida_traincraft.science.config.kinds import BaselineConfig
from aiida_traincraft.science.models.pair import PairCalculator
from aiida_traincraft.science.registry import register


class ZblConfig(BaselineConfig):
    """Core repulsion of an ACE, zero where there are data: nothing is subtracted, and it lies in the ACE's own file."""

    subtracts: ClassVar[bool] = False
    type: Literal['zbl'] = 'zbl'


@register('baseline', 'zbl', ZblConfig)
def make_zbl(config: ZblConfig) -> PairCalculator:
    """Universal repulsion of Ziegler, Biersack and Littmark below the shortest distances of the training set; ACE only.

    Examples
    --------
    .. code-block:: toml

        [training]
        type = "pace_linear"
        baseline = { type = "zbl" }
    """
    return PairCalculator({})
