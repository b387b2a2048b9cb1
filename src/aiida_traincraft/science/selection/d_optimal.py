"""Pick the frames that enlarge the active set most (D-optimality)."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.selection.pool import PickConfig, Pool, StageResult

PREFIX = 'active.'


class DOptimalConfig(PickConfig):
    """The share of the budget, and when to stop."""

    aliases: ClassVar[tuple[str, ...]] = ('maxvol', 'active_set')
    type: Literal['d_optimal'] = 'd_optimal'
    tol: float = Field(default=1.01, gt=1)
    """Stop when no atom left has an extrapolation grade γ above this (no unit)."""


@register('selector', 'd_optimal', config=DOptimalConfig)
def d_optimal(pool: Pool, config: DOptimalConfig) -> StageResult:
    r"""Pick: greedy MaxVol over frames, starting from the potential's active set.

    Frames carry, per element, the rows :math:`c = b A^{-1}` of their extrapolative atoms (property ``active.<El>``,
    (n_atoms, n_functions)), where b are an atom's basis projections and the rows of A are the active set; so
    :math:`\gamma = \max_k |c_k|`. The frame with the largest γ is taken, and its atoms replace rows of the active set
    while their γ exceeds ``tol``: row b in place of row j multiplies :math:`|\det A|` by :math:`|c_j|`, and by
    Sherman-Morrison all coordinates become

    .. math:: C' = C - C_{\cdot j} (c - e_j)^T / c_j .

    γ of the frames left thus counts what the frames taken will teach. Frames chosen by earlier stages are swapped in
    first. Sources: Goreinov et al., *How to find a good submatrix* (World Scientific, 2010); Podryabinkin and
    Shapeev, Comput. Mater. Sci. 140, 171 (2017).

    Raises
    ------
    ValueError
        If frames that are or may be extrapolative carry no coordinates, or if coordinates differ in width.

    Examples
    --------
    .. code-block:: toml

        [[stages]]
        type = "d_optimal"
        fraction = 0.8
    """
    active = _ActiveCoordinates(pool)
    share = pool.share(config)
    for index in pool.chosen:
        active.swap_in(index, config.tol)
    picked: list[int] = []
    while len(picked) < share:
        index, gamma = active.most_extrapolative()
        if gamma <= config.tol:
            break
        active.swap_in(index, config.tol)
        picked.append(index)
    return pool.pick(picked, share, f'no frame left with γ above {config.tol:g}')


class _ActiveCoordinates:
    """Coordinates of all atoms in the active set, kept up to date while rows are swapped."""

    def __init__(self, pool: Pool) -> None:
        blocks: dict[str, list[FloatArray]] = {}
        owners: dict[str, list[int]] = {}
        for index in (*pool.chosen, *pool.alive):
            for key, rows in pool.frames[index].properties.items():
                if key.startswith(PREFIX) and len(rows):
                    blocks.setdefault(key, []).append(np.asarray(rows, np.float64))
                    owners.setdefault(key, []).extend([index] * len(rows))
        for key, arrays in blocks.items():
            if len(widths := {array.shape[1] for array in arrays}) > 1:
                raise ValueError(
                    f'selector d_optimal: property {key!r} has rows of {", ".join(map(str, sorted(widths)))} functions;'
                    ' all frames must come from one potential and its active set'
                )
        unknown = [index for index in pool.alive if not pool.uncertainty[index] <= 1]
        if not blocks and unknown and not any(_carries(pool, index) for index in unknown):
            raise ValueError(
                f'selector d_optimal: none of the {len(unknown)} frames with unknown or extrapolative environments'
                f' carries active-set coordinates (properties {PREFIX}<element>); explore with an ACE potential that'
                ' has an active set, or use the selector "diversity"'
            )
        self._rows = {key: np.vstack(arrays) for key, arrays in blocks.items()}
        self._owners = {key: np.array(indices) for key, indices in owners.items()}

    def most_extrapolative(self) -> tuple[int, float]:
        """Index of the frame with the largest γ, and that γ (0 if no rows are left)."""
        best = (-1, 0.0)
        for key, rows in self._rows.items():
            gamma = np.abs(rows).max(axis=1)
            place = int(gamma.argmax())
            if gamma[place] > best[1]:
                best = (int(self._owners[key][place]), float(gamma[place]))
        return best

    def swap_in(self, index: int, tol: float) -> None:
        """Swap a frame's rows into the active set while their γ exceeds ``tol``; then the frame's rows are spent."""
        for key, rows in self._rows.items():
            own = np.flatnonzero(self._owners[key] == index)
            if not len(own):
                continue
            while True:
                gamma = np.abs(rows[own])
                atom, j = np.unravel_index(gamma.argmax(), gamma.shape)
                if gamma[atom, j] <= tol:
                    break
                direction = rows[own[atom]].copy()
                pivot = direction[j]
                direction[j] -= 1.0
                rows -= np.outer(rows[:, j] / pivot, direction)
            rows[own] = 0.0


def _carries(pool: Pool, index: int) -> bool:
    return any(key.startswith(PREFIX) for key in pool.frames[index].properties)
