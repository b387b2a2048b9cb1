"""The funnel: from the candidates of an exploration to the structures worth a label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.selection import SelectionConfig
from aiida_traincraft.science.selection.pool import FunnelContext, Pool, StageResult
from aiida_traincraft.science.structure import Structure

# Stages whose verdict is about the frame itself, not about its worth: what they drop is no sign of a poor potential.
VALIDITY_STAGES = ('physicality', 'dedup', 'near_dedup', 'energy_window', 'force_cap')


@dataclass
class FunnelResult:
    """What the funnel selected, and why the rest was not.

    Attributes
    ----------
    selected
        Copies of the selected frames, in the order of picking; their provenance carries ``selected_by`` (a stage's
        type) and, where known and finite, ``uncertainty``.
    report
        One row per stage: ``stage``, ``entered``, ``dropped``, ``picked``, ``reasons`` (counts); JSON-serialisable.
    n_uncertain
        Physical, unique frames whose uncertainty is above ``context.lo``; None where that is not known (no
        ``lo``, or frames of which none carries an uncertainty).
    """

    selected: list[Structure]
    report: list[dict[str, Any]]
    n_uncertain: int | None


def apply_funnel(frames: Sequence[Structure], config: SelectionConfig, context: FunnelContext) -> FunnelResult:
    """Run the stages of a config over a pool of candidates.

    Filter stages rule frames out; picking stages move frames to the selection. What the picking stages picked is the
    selection; without a picking stage it is all frames that passed. ``context.budget`` holds, not ``config.budget``.
    The same frames, config and context give the same selection; the frames are not changed.

    Raises
    ------
    ValueError
        If a stage lacks what it needs (see the stages).
    """
    rng = np.random.default_rng(context.seed)
    pool = Pool(frames, context, rng)
    invalid: set[int] = set()
    selected_by: dict[int, str] = {}
    report = []
    for stage in config.stages:
        # A generator per stage: what one stage draws does not change what the next one picks.
        pool.rng = rng.spawn(1)[0]
        before = set(pool.alive)
        result: StageResult = registry.get('selector', stage.type).function(pool, stage)
        if stage.type in VALIDITY_STAGES:
            invalid |= before.difference(pool.alive)
        selected_by |= {index: stage.type for index in pool.chosen if index not in selected_by}
        report.append({'stage': stage.type} | asdict(result))
    survivors = pool.chosen if pool.has_picked else pool.alive[: context.budget]
    last = config.stages[-1].type
    selected = [_mark(frames[index], selected_by.get(index, last), pool.uncertainty[index]) for index in survivors]
    return FunnelResult(selected, report, _count_uncertain(pool, invalid))


def run_funnel(frames: Sequence[Structure], config: SelectionConfig) -> list[Structure]:
    """Select from a pool about which nothing else is known: no training set, no thresholds, seed 0."""
    return apply_funnel(frames, config, FunnelContext(budget=config.budget)).selected


def _mark(frame: Structure, stage: str, uncertainty: float) -> Structure:
    marked = frame.copy()
    marked.provenance['selected_by'] = stage
    if np.isfinite(uncertainty):
        marked.provenance['uncertainty'] = float(uncertainty)
    return marked


def _count_uncertain(pool: Pool, invalid: set[int]) -> int | None:
    if pool.context.lo is None or (len(pool.frames) and np.isnan(pool.uncertainty).all()):
        return None
    above = np.flatnonzero(pool.uncertainty > pool.context.lo)
    return len(set(above.tolist()) - invalid)
