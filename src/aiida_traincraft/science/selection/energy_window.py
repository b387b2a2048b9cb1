"""Drop frames too high in energy to matter, or so low that the potential must be wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from typing import Literal

import numpy as np
from pydantic import Field

from aiida_traincraft.science.config.kinds import SelectorConfig
from aiida_traincraft.science.datasets.near_duplicates import kind
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.selection.pool import Pool, StageResult
from aiida_traincraft.science.structure import Structure


class EnergyWindowConfig(SelectorConfig):
    """Window of the energy per atom among frames that can be compared."""

    type: Literal['energy_window'] = 'energy_window'
    above: float = Field(gt=0)
    """Largest energy above the lowest frame of the same group (eV/atom)."""
    below: float | None = Field(default=None, gt=0)
    """Frames further than this below the median of their group are dropped first, and are no lowest frame: holes of
    the potential (eV/atom). No limit without it."""
    per: Literal['composition', 'system'] = 'composition'
    """What a group has in common: periodic directions and composition (reduced if there are any), or the system."""


@register('selector', 'energy_window', config=EnergyWindowConfig)
def energy_window(pool: Pool, config: EnergyWindowConfig) -> StageResult:
    """Filter: energy per atom (property ``energy``) within a window; frames whose energy is not known pass.

    Examples
    --------
    .. code-block:: toml

        [[stages]]
        type = "energy_window"
        above = 0.5
        below = 1.0
    """
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for index in pool.alive:
        if pool.frames[index].properties.get('energy') is not None:
            groups[_group(pool.frames[index], config.per)].append(index)
    if not groups:
        count = len(pool.alive)
        return StageResult(count, reasons={'no frame carries an energy, all pass': count} if count else {})
    verdicts: dict[int, str] = {}
    for members in groups.values():
        energies = np.array(
            [float(pool.frames[index].properties['energy']) / len(pool.frames[index]) for index in members]
        )
        hole = ~np.isfinite(energies)
        if config.below is not None and not hole.all():
            hole |= energies < np.median(energies[~hole]) - config.below
        lowest = energies[~hole].min(initial=np.inf)
        high = ~hole & (energies - lowest > config.above)
        verdicts |= {members[place]: _hole_reason(config.below) for place in np.flatnonzero(hole)}
        reason = f'energy more than {config.above:g} eV/atom above the lowest'
        verdicts |= {members[place]: reason for place in np.flatnonzero(high)}
    return pool.drop(verdicts)


def _group(frame: Structure, per: str) -> Hashable:
    return frame.provenance.get('system') if per == 'system' else kind(frame)


def _hole_reason(below: float | None) -> str:
    return (
        'energy not finite' if below is None else f'energy not finite or more than {below:g} eV/atom below the median'
    )
