"""What an active set is worth: γ in the neighbourhood of its own training structures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aiida_traincraft.science.models.ace import PaceCalculator
from aiida_traincraft.science.structure import Structure

RATTLE = 0.05
"""Standard deviation (Å) of the rattled copies: a thermal displacement well below room temperature."""
COPIES = 10
DEGENERATE_FACTOR = 5.0
"""Healthy sets of 6 to 70 varied Cu frames gave medians of 0.8 to 1.6, rank-deficient ones 22 to 2e9."""


@dataclass(frozen=True)
class ActiveSetCheck:
    """How an active set sees rattled copies of its training structures.

    Attributes
    ----------
    gamma_rattled
        Median over the copies of the largest γ; None if no copy has atoms with neighbours.
    degenerate
        Whether γ is useless: nearly every small displacement counts as far extrapolation.
    message
        Empty, or what is wrong and what to do.
    """

    gamma_rattled: float | None
    degenerate: bool
    message: str


def check_active_set(
    calculator: PaceCalculator, structures: Sequence[Structure], gamma_lo: float, seed: int
) -> ActiveSetCheck:
    """Judge an active set by copies of up to ten training structures, rattled by 0.05 Å.

    An active set chosen from environments that span fewer dimensions than there are functions (perfect crystals,
    strained or not, or hardly displaced ones) is still invertible in floating point, and pacemaker says nothing. Its γ
    is then large for any displacement out of that subspace. The set is called degenerate if the median over the
    copies of their largest γ is above five times ``gamma_lo``: an exploration from such a structure would halt at
    once, whatever it does. The median, since a single copy of a lone strained frame may extrapolate for good reason.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(structures), min(COPIES, len(structures)), replace=False)
    largest = []
    for index in chosen:
        atoms = structures[index].atoms.copy()
        atoms.positions += rng.normal(0.0, RATTLE, atoms.positions.shape)
        gamma = calculator.gamma(atoms)
        if np.isfinite(gamma).any():
            largest.append(gamma[np.isfinite(gamma)].max())
    if not largest:
        return ActiveSetCheck(None, True, 'no training structure has an atom with neighbours within the cutoff')
    median = float(np.median(largest))
    limit = DEGENERATE_FACTOR * gamma_lo
    if median <= limit:
        return ActiveSetCheck(median, False, '')
    return ActiveSetCheck(
        median,
        True,
        f'training structures rattled by {RATTLE} Å have γ = {median:.3g} (median), above {limit:g}: the training set '
        'spans fewer directions than the basis has functions. Add rattled and strained structures, or use fewer '
        'functions',
    )
