"""Pick in the order in which frames were found."""

from __future__ import annotations

from typing import Literal

import numpy as np

from aiida_traincraft.science.registry import register
from aiida_traincraft.science.selection.pool import PickConfig, Pool, StageResult

ORDER = ('cycle', 'step')


class OldestFirstConfig(PickConfig):
    """The share of the budget, nothing else."""

    type: Literal['oldest_first'] = 'oldest_first'


@register('selector', 'oldest_first', config=OldestFirstConfig)
def oldest_first(pool: Pool, config: OldestFirstConfig) -> StageResult:
    """Pick: the earliest cycle first, within it the earliest step, then the pool's order.

    Cycle and step are those of the frame's provenance; frames without them come last. In a pool of many runs this
    takes the first frames of each run: where a potential met what it does not know.

    Examples
    --------
    .. code-block:: toml

        [[stages]]
        type = "oldest_first"
        fraction = 0.5
    """
    share = pool.share(config)
    facts = (pool.frames[index].provenance for index in pool.alive)
    ages = np.array([[_number(fact.get(key)) for key in ORDER] for fact in facts]).reshape(-1, len(ORDER))
    # The last key is the first to sort by; the sort is stable.
    order = np.lexsort(ages.T[::-1])[:share]
    return pool.pick([pool.alive[place] for place in order], share)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else np.inf
