"""Drop frames with forces beyond what a training set should hold."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from aiida_traincraft.science.config.kinds import SelectorConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.selection.pool import Pool, StageResult


class ForceCapConfig(SelectorConfig):
    """Limit of the force on an atom."""

    type: Literal['force_cap'] = 'force_cap'
    max_force: float = Field(gt=0)
    """Largest norm of the force on any atom (eV/Å)."""


@register('selector', 'force_cap', config=ForceCapConfig)
def force_cap(pool: Pool, config: ForceCapConfig) -> StageResult:
    """Filter: no force (property ``forces``, (n_atoms, 3)) above a limit; frames whose forces are not known pass.

    Examples
    --------
    .. code-block:: toml

        [[stages]]
        type = "force_cap"
        max_force = 30.0
    """
    known = {
        index: forces for index in pool.alive if (forces := pool.frames[index].properties.get('forces')) is not None
    }
    if not known:
        count = len(pool.alive)
        return StageResult(count, reasons={'no frame carries forces, all pass': count} if count else {})
    reason = f'a force not finite or above {config.max_force:g} eV/Å'
    # Forces that are not finite compare as False.
    return pool.drop(
        {
            index: reason
            for index, forces in known.items()
            if not np.linalg.norm(forces, axis=1).max(initial=0.0) <= config.max_force
        }
    )
