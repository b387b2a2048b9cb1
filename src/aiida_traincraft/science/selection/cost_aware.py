"""Pick what teaches most for the core-hours that its labels cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from ase.formula import Formula
from pydantic import Field

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.selection.pool import PickConfig, Pool, StageResult
from aiida_traincraft.science.structure import Structure

STEEPEST = 4.0
"""Exponents fitted to few labels are kept between 0 and this: steeper than any method in use."""
SECONDS = 3600.0


class CostAwareConfig(PickConfig):
    """Limits of the number of frames and of what they cost."""

    needs_costs: ClassVar[bool] = True
    type: Literal['cost_aware'] = 'cost_aware'
    core_hours: float | None = Field(default=None, gt=0)
    """Most that the picks may cost (core-hours), as predicted from labels made before. Without it, or before there is a
    label: as much as if each frame of the share cost the pool's median."""
    exponent: float = Field(default=3.0, ge=0, le=10)
    """Power of the number of atoms that the cost of a label grows with, until labels of two sizes have been made; 3 is
    that of plane-wave DFT."""


@register('selector', 'cost_aware', config=CostAwareConfig)
def cost_aware(pool: Pool, config: CostAwareConfig) -> StageResult:
    """Pick: the largest uncertainty per cost first, as long as the sum of the costs stays within the limit.

    Of frames whose uncertainty is not known, when none is, the cheapest come first. A frame that does not fit is
    passed over for the next one. The greedy solution of the knapsack problem.

    In a campaign the costs are those measured for the labels of the cycles before; measured times vary, so the same
    campaign run anew may choose differently.

    Examples
    --------
    .. code-block:: toml

        [[stages]]
        type = "cost_aware"
        fraction = 1.0
        core_hours = 200.0
    """
    share = pool.share(config)
    if not share or not pool.alive:
        return pool.pick([], share)
    history = pool.context.costs
    costs = predict_costs([pool.frames[index] for index in pool.alive], history, config.exponent)
    absolute = bool(history) and config.core_hours is not None
    limit = SECONDS * (config.core_hours or 0.0) if absolute else share * float(np.median(costs))
    picked: list[int] = []
    spent = 0.0
    for place in np.argsort(-_worth(pool) / costs, kind='stable'):
        if len(picked) == share:
            break
        if spent + costs[place] <= limit * (1 + 1e-9):
            picked.append(pool.alive[place])
            spent += costs[place]
    why = f'{config.core_hours:g} core-hours spent' if absolute else 'cost of as many median frames spent'
    return pool.pick(picked, share, why if len(pool.alive) > len(picked) else 'no frame left')


def _worth(pool: Pool) -> FloatArray:
    uncertainty = pool.uncertainty[pool.alive]
    if np.isnan(uncertainty).all():
        return np.ones(len(uncertainty))
    largest = uncertainty[np.isfinite(uncertainty)].max(initial=1.0)
    return np.nan_to_num(uncertainty, nan=0.0, posinf=largest)


def predict_costs(frames: Sequence[Structure], history: Sequence[tuple[str, float]], exponent: float) -> FloatArray:
    """Cost of a label of each frame.

    Parameters
    ----------
    frames
        Structures to label.
    history
        Formula and cost (core-seconds) of labels made before.
    exponent
        Power of the number of atoms, for a history of fewer than two sizes.

    Returns
    -------
    FloatArray
        (n_frames,) core-seconds: the median of the same formula, else a power law of the number of atoms, fitted to
        the logarithms. Without a history: relative costs, without unit.

    Raises
    ------
    ValueError
        If a cost of the history is not positive.
    """
    sizes = np.array([len(frame) for frame in frames], dtype=np.float64)
    if not history:
        return sizes**exponent
    seconds = np.array([cost for _, cost in history])
    if not (seconds > 0).all():
        raise ValueError(f'the cost of a label must be positive, not {seconds.min():g} core-seconds')
    numbers = np.log([len(Formula(formula)) for formula, _ in history])
    logs = np.log(seconds)
    if np.ptp(numbers) > 0:
        exponent = float(np.clip(np.polyfit(numbers, logs, 1)[0], 0.0, STEEPEST))
    prefactor = np.median(logs - exponent * numbers)
    predicted = np.exp(prefactor) * sizes**exponent
    same: dict[str, list[float]] = defaultdict(list)
    for formula, cost in history:
        same[formula].append(cost)
    known = {formula: float(np.median(values)) for formula, values in same.items()}
    return np.array([known.get(frame.formula, value) for frame, value in zip(frames, predicted, strict=True)])
