"""Drop frames that are known already or that repeat."""

from __future__ import annotations

from typing import Literal

from aiida_traincraft.science.config.kinds import SelectorConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.selection.pool import Pool, StageResult


class DedupConfig(SelectorConfig):
    """No parameters: frames are equal when their content hashes are (lengths to 1e-4 Å)."""

    type: Literal['dedup'] = 'dedup'


@register('selector', 'dedup', config=DedupConfig)
def dedup(pool: Pool, config: DedupConfig) -> StageResult:
    """Filter: no structure labelled or tried before, and each structure once (the first in the pool).

    Examples
    --------
    .. code-block:: toml

        [[stages]]
        type = "dedup"
    """
    seen = {pool.frames[index].content_hash() for index in pool.chosen}
    verdicts = {}
    for index in pool.alive:
        digest = pool.frames[index].content_hash()
        if digest in pool.context.known_hashes:
            verdicts[index] = 'labelled or tried before'
        elif digest in seen:
            verdicts[index] = 'repeated in the pool'
        seen.add(digest)
    return pool.drop(verdicts)
