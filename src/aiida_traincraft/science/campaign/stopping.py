"""When a campaign has done enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiida_traincraft.science.config.loop import LoopConfig

# Reasons that say that the potential is as good as is wanted, or gets no better.
CONTENT = ('target', 'plateau')
KEPT = 'the potential keeps every limit of its validation'
"""Why a campaign stops that was to stop as soon as its validators pass."""


@dataclass(frozen=True)
class Stop:
    """Why a campaign stops."""

    reason: str
    message: str


def decide(
    config: LoopConfig,
    force_rmse: Sequence[float],
    energy_rmse: Sequence[float],
    labels: int,
    quiet: int,
    content: bool = True,
) -> Stop | None:
    """Whether to stop.

    Parameters
    ----------
    config
        The criteria.
    force_rmse, energy_rmse
        Test errors of every cycle so far (eV/Å, eV/atom).
    labels
        Labels asked for so far, failed ones included.
    quiet
        Explorations in a row that found nothing uncertain, or nothing that could be labelled.
    content
        Whether the criteria of the test error (``CONTENT``) count; they do not while validators want more.

    Returns
    -------
    Stop or None
        The first criterion that holds, None to go on.
    """
    cycles = len(force_rmse)
    settled = content and cycles >= config.min_cycles
    if settled:
        targets = [
            (value, target, unit)
            for value, target, unit in (
                (force_rmse[-1], config.target_force_rmse, 'eV/Å'),
                (energy_rmse[-1], config.target_energy_rmse, 'eV/atom'),
            )
            if target is not None
        ]
        if targets and all(value <= target for value, target, _ in targets):
            figures = ' and '.join(f'{value:.4f} {unit} (target {target:g})' for value, target, unit in targets)
            return Stop('target', f'the test error reached its target: {figures}')
    if quiet >= config.quiet_explorations:
        return Stop('quiet', f'{quiet} explorations in a row found nothing uncertain that could be labelled')
    if settled and _cycles_without_gain(force_rmse, config.min_gain) >= config.patience:
        return Stop(
            'plateau', f'the test force RMSE gained less than {config.min_gain:.0%} in {config.patience} cycles'
        )
    if config.max_labels is not None and labels >= config.max_labels:
        return Stop('labels', f'the label budget is spent: {labels} of {config.max_labels}')
    if cycles >= config.max_cycles:
        return Stop('cycles', f'the last of {config.max_cycles} cycles is done')
    return None


def _cycles_without_gain(errors: Sequence[float], min_gain: float) -> int:
    """Cycles since the error last fell by more than ``min_gain`` below the best before."""
    best, since = errors[0], 0
    for error in errors[1:]:
        since += 1
        if error < best * (1 - min_gain):
            best, since = error, 0
    return since
