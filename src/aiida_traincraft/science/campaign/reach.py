"""Whether the potential sees any neighbours."""

from __future__ import annotations

from collections.abc import Sequence

from scipy.spatial import cKDTree

from aiida_traincraft.science.campaign.preflight import Preflight
from aiida_traincraft.science.errors import ConfigIssue
from aiida_traincraft.science.geometry.measures import measure
from aiida_traincraft.science.structure import Structure


def check_reach(preflight: Preflight) -> list[ConfigIssue]:
    """Find systems in which no atom has a neighbour within the cutoff: nothing could be learnt of them."""
    reach = preflight.config.training.reach()
    if reach is None:
        return []
    issues = []
    for system in preflight.built:
        nearest = _nearest(system.structures, reach)
        if nearest is not None and nearest > reach:
            issues.append(
                ConfigIssue(
                    'training',
                    f'no atom of {system.place} ({system.config.name}) has a neighbour within its cutoff, {reach:g} Å: '
                    f'the nearest is {nearest:.2f} Å away',
                )
            )
    return issues


def _nearest(structures: Sequence[Structure], reach: float) -> float | None:
    """Shortest distance (Å) in any of some structures, or one that is within reach; None between isolated atoms."""
    found = []
    for structure in structures:
        positions = structure.atoms.positions
        if len(positions) > 1:
            # Without periodic images it is quick, and nearly always enough.
            inside = float(cKDTree(positions).query(positions, k=2)[0][:, 1].min())
            if inside <= reach:
                return inside
        if (nearest := measure(structure).min_distance) is not None:
            found.append(nearest)
    return min(found, default=None)
