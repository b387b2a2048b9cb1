"""Pick at random: keeps the crowded regions of the pool represented."""

from __future__ import annotations

from typing import Literal

from aiida_traincraft.science.registry import register
from aiida_traincraft.science.selection.pool import PickConfig, Pool, StageResult


class RandomConfig(PickConfig):
    """The share of the budget, nothing else."""

    type: Literal['random'] = 'random'


@register('selector', 'random', config=RandomConfig)
def random(pool: Pool, config: RandomConfig) -> StageResult:
    """Pick: uniformly at random, without repetition.

    Examples
    --------
    .. code-block:: toml

        [[stages]]
        type = "random"
        fraction = 0.2
    """
    share = pool.share(config)
    count = min(share, len(pool.alive))
    return pool.pick(pool.rng.choice(pool.alive, size=count, replace=False) if count else [], share)
