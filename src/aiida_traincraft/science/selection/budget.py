"""Cap the selection at the labels that may be spent."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from aiida_traincraft.science.config.kinds import SelectorConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.selection.pool import Pool, StageResult


class BudgetConfig(SelectorConfig):
    """The cap."""

    type: Literal['budget'] = 'budget'
    n: int | None = Field(default=None, ge=1)
    """Most frames selected; by default (and at most) the cycle's budget."""


@register('selector', 'budget', config=BudgetConfig)
def budget(pool: Pool, config: BudgetConfig) -> StageResult:
    """Cap: the first picks; without a picking stage, the most uncertain frames, then the pool's order.

    Examples
    --------
    .. code-block:: toml

        [[stages]]
        type = "budget"
        n = 10
    """
    limit = pool.context.budget if config.n is None else min(config.n, pool.context.budget)
    reason = f'over the budget of {limit}'
    if pool.has_picked:
        entered, over = len(pool.chosen), max(0, len(pool.chosen) - limit)
        pool.chosen = pool.chosen[:limit]
        return StageResult(entered, dropped=over, reasons={reason: over} if over else {})
    known = np.nan_to_num(pool.uncertainty[pool.alive], nan=-np.inf, posinf=np.inf)
    order = np.argsort(-known, kind='stable')
    return pool.drop({pool.alive[place]: reason for place in order[limit:]})
