"""Keep the frames on which the members of a committee disagree, in energy or in forces."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.config.kinds import SelectorConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.selection.pool import Pool, StageResult

KEYS = ('energy_lo', 'energy_hi', 'force_lo', 'force_hi')


class CommitteeConfig(SelectorConfig):
    """Windows of the spread of a committee; the population standard deviation over its members."""

    aliases: ClassVar[tuple[str, ...]] = ('qbc',)
    type: Literal['committee'] = 'committee'
    energy_lo: float | None = Field(default=None, ge=0)
    """Frames whose energies spread more than this pass (eV/atom)."""
    energy_hi: float | None = Field(default=None, gt=0)
    """Frames whose energies spread more than this are dropped (eV/atom)."""
    force_lo: float | None = Field(default=None, ge=0)
    """Frames of which the force on an atom spreads more than this pass (eV/Å)."""
    force_hi: float | None = Field(default=None, gt=0)
    """Frames of which the force on an atom spreads more than this are dropped (eV/Å)."""

    @model_validator(mode='after')
    def _windows(self) -> CommitteeConfig:
        if all(getattr(self, key) is None for key in KEYS):
            raise ValueError(f'give at least one of {", ".join(KEYS)}')
        for lo, hi in (KEYS[:2], KEYS[2:]):
            low, high = getattr(self, lo), getattr(self, hi)
            if low is not None and high is not None and low >= high:
                raise ValueError(f'"{lo}" ({low}) must be below "{hi}" ({high})')
        return self


@register('selector', 'committee', config=CommitteeConfig)
def committee(pool: Pool, config: CommitteeConfig) -> StageResult:
    """Filter: the committee disagrees enough in energy or in a force, and not too much in either.

    Spreads are the properties ``energy_spread`` (eV/atom) and ``uncertainty`` (eV/Å per atom, of a committee; the
    largest counts). All frames pass when none carries a spread that is asked for.

    Examples
    --------
    .. code-block:: toml

        [[stages]]
        type = "committee"
        energy_lo = 0.005
        force_lo = 0.1
        force_hi = 2.0
    """
    spreads = [pool.frames[index].properties.get('energy_spread') for index in pool.alive]
    windows: list[tuple[FloatArray, float | None, float | None]] = [
        (
            np.array([np.nan if value is None else value for value in spreads], float),
            config.energy_lo,
            config.energy_hi,
        ),
        (pool.uncertainty[pool.alive], config.force_lo, config.force_hi),
    ]
    asked = [(values, lo, hi) for values, lo, hi in windows if lo is not None or hi is not None]
    if all(np.isnan(values).all() for values, _, _ in asked):
        count = len(pool.alive)
        return StageResult(
            count, reasons={'no frame carries the spread of a committee, all pass': count} if count else {}
        )
    unknown = np.all([np.isnan(values) for values, _, _ in asked], axis=0)
    none = np.zeros(len(unknown), dtype=bool)
    lower = [values > lo for values, lo, _ in asked if lo is not None]
    enough = np.logical_or.reduce(lower) if lower else ~none
    beyond = np.logical_or.reduce([none, *(values > hi for values, _, hi in asked if hi is not None)])
    verdicts: dict[int, str] = {}
    for place, index in enumerate(pool.alive):
        if unknown[place]:
            verdicts[index] = 'spread unknown'
        elif beyond[place]:
            verdicts[index] = 'spread above the upper limit'
        elif not enough[place]:
            verdicts[index] = 'spread not above the lower limit'
    return pool.drop(verdicts)
