"""Keep the frames that the potential does not know, yet that are not beyond all knowledge."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from aiida_traincraft.science.config.kinds import SelectorConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.selection.pool import Pool, StageResult

# The frame at which a run halts lies above that limit and shows what the potential lacks most.
HALT_MARGIN = 5.0


class UncertaintyConfig(SelectorConfig):
    """Window of the largest uncertainty of a frame's atoms: γ of ACE (no unit), force spread of a committee (eV/Å)."""

    type: Literal['uncertainty'] = 'uncertainty'
    lo: float | None = Field(default=None, ge=0)
    """Frames above this pass; by default the exploration's lower threshold (``gamma_lo``, ``spread_lo``)."""
    hi: float | None = Field(default=None, gt=0)
    """Frames above this are dropped; by default 5 times the exploration's upper threshold, so that the frame at which
    a run halted is kept, and without one there is no limit."""

    @model_validator(mode='after')
    def _window(self) -> UncertaintyConfig:
        if self.lo is not None and self.hi is not None and self.lo >= self.hi:
            raise ValueError(f'"lo" ({self.lo}) must be below "hi" ({self.hi})')
        return self


@register('selector', 'uncertainty', config=UncertaintyConfig)
def uncertainty(pool: Pool, config: UncertaintyConfig) -> StageResult:
    """Filter: lo < largest uncertainty of the frame <= hi; all pass when no frame carries an uncertainty.

    Raises
    ------
    ValueError
        If frames carry an uncertainty and neither ``lo`` nor the context's is given, or if the window
        made of a given and a default limit is empty.

    Examples
    --------
    .. code-block:: toml

        [[stages]]
        type = "uncertainty"
        lo = 2.0
        hi = 50.0
    """
    if np.isnan(pool.uncertainty).all():
        count = len(pool.alive)
        return StageResult(count, reasons={'no frame carries an uncertainty, all pass': count} if count else {})
    lo, hi = _window(pool, config)
    verdicts = {index: _verdict(pool.uncertainty[index], lo, hi) for index in pool.alive}
    return pool.drop({index: verdict for index, verdict in verdicts.items() if verdict is not None})


def _window(pool: Pool, config: UncertaintyConfig) -> tuple[float, float]:
    context = pool.context
    lo = context.lo if config.lo is None else config.lo
    if lo is None:
        raise ValueError('selector uncertainty: no lower limit; give "lo", or a threshold of the exploration')
    hi = config.hi
    if hi is None:
        hi = np.inf if context.hi is None else HALT_MARGIN * context.hi
    if lo >= hi:
        raise ValueError(f'selector uncertainty: lower limit {lo:g} is not below upper limit {hi:g}; give both')
    return lo, hi


def _verdict(value: float, lo: float, hi: float) -> str | None:
    if np.isnan(value):
        return 'uncertainty unknown'
    if value <= lo:
        return f'uncertainty not above {lo:g}'
    if value > hi:
        return f'uncertainty above {hi:g}'
    return None
