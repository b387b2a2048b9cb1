"""Drop frames that nearly repeat another one, whatever its orientation, order of atoms, or cell."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aiida_traincraft.science.config.kinds import SelectorConfig
from aiida_traincraft.science.datasets.near_duplicates import DEFAULT_TOLERANCE, NearDuplicates
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.selection.pool import Pool, StageResult


class NearDedupConfig(SelectorConfig):
    """How near is a near duplicate."""

    type: Literal['near_dedup'] = 'near_dedup'
    tolerance: float = Field(default=DEFAULT_TOLERANCE, gt=0)
    """Largest distance between near duplicates: relative, without unit (docs/decisions/near-duplicates.md)."""


@register('selector', 'near_dedup', config=NearDedupConfig)
def near_dedup(pool: Pool, config: NearDedupConfig) -> StageResult:
    """Filter: of frames within a tolerance of each other, the first one; invariant to rotation, order and cell.

    Works within the pool: labelled structures are known here by their content hash only, which ``dedup`` compares.
    After ``physicality``, since a broken frame has no descriptor.

    Raises
    ------
    ValueError
        If a frame has no atoms, numbers that are not finite, or a periodic direction without a cell vector.

    Examples
    --------
    .. code-block:: toml

        [[stages]]
        type = "physicality"

        [[stages]]
        type = "near_dedup"
        tolerance = 1e-3
    """
    seen = NearDuplicates(config.tolerance)
    seen.add_many([str(index) for index in pool.chosen], [pool.frames[index] for index in pool.chosen])
    matches = seen.add_many([str(index) for index in pool.alive], [pool.frames[index] for index in pool.alive])
    repeated = [index for index, match in zip(pool.alive, matches, strict=True) if match is not None]
    return pool.drop(dict.fromkeys(repeated, 'near duplicate in the pool'))
