"""Drop frames that no method could label: overlapping atoms, numbers that are not finite."""

from __future__ import annotations

from typing import Literal

import numpy as np
from ase import Atoms
from pydantic import Field

from aiida_traincraft.science.atoms.distances import minimum_distance
from aiida_traincraft.science.config.kinds import SelectorConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.selection.pool import Pool, StageResult


class PhysicalityConfig(SelectorConfig):
    """Limits of a sensible geometry."""

    type: Literal['physicality'] = 'physicality'
    min_distance: float = Field(default=0.6, gt=0, lt=2)
    """Smallest distance between atoms, as a fraction of the sum of their covalent radii."""


@register('selector', 'physicality', config=PhysicalityConfig)
def physicality(pool: Pool, config: PhysicalityConfig) -> StageResult:
    """Filter: finite positions, a cell along each periodic direction, no overlapping atoms.

    Examples
    --------
    .. code-block:: toml

        [[stages]]
        type = "physicality"
        min_distance = 0.6
    """
    flaws = {index: _flaw(pool.frames[index].atoms, config.min_distance) for index in pool.alive}
    return pool.drop({index: flaw for index, flaw in flaws.items() if flaw is not None})


def _flaw(atoms: Atoms, min_distance: float) -> str | None:
    if not len(atoms):
        return 'no atoms'
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        return 'positions or cell not finite'
    if np.linalg.matrix_rank(atoms.cell.array[atoms.pbc]) < atoms.pbc.sum():
        return 'periodic without a cell'
    if minimum_distance(atoms) < min_distance:
        return f'atoms closer than {min_distance:g} of the sum of their covalent radii'
    return None
