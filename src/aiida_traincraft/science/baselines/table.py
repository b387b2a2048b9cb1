"""Baseline ``table``: a tabulated curve for each pair of elements."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator
from scipy.interpolate import CubicSpline

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.config.base import StrictModel
from aiida_traincraft.science.config.kinds import BaselineConfig
from aiida_traincraft.science.models.pair import Pair, PairCalculator, PairCurve, pair_of, pairs_of
from aiida_traincraft.science.registry import register

Points = Annotated[list[float], Field(min_length=4)]


class TablePair(StrictModel):
    """Curve of two elements."""

    r: Points
    """Distances (Å), rising."""
    energy: Points
    """Energies (eV) there; the last is 0."""

    @model_validator(mode='after')
    def _sound(self) -> TablePair:
        if len(self.r) != len(self.energy):
            raise ValueError(f'"r" has {len(self.r)} numbers, "energy" {len(self.energy)}: give as many of both')
        if self.r[0] <= 0 or (np.diff(self.r) <= 0).any():
            raise ValueError('"r" must be positive and rise from number to number')
        if self.energy[-1] != 0:
            raise ValueError(f'the last "energy" is {self.energy[-1]} eV and must be 0: shift or extend the curve')
        return self


class TableConfig(BaselineConfig):
    """Cubic splines through tabulated pair energies."""

    core_repulsion: ClassVar[bool] = False
    type: Literal['table'] = 'table'
    pairs: dict[str, TablePair] = Field(min_length=1)
    """Curve by pair, as ``{ Cu-Cu = { r = [...], energy = [...] } }``; it ends with slope 0 at its last point and goes
    on in a straight line below its first."""

    def reach(self) -> float:
        """Last point of all curves."""
        return max(pair.r[-1] for pair in self.pairs.values())

    def known_pairs(self) -> frozenset[Pair]:
        """Those given."""
        return pairs_of(self.pairs)

    @model_validator(mode='after')
    def _named(self) -> TableConfig:
        pairs_of(self.pairs)
        return self


@register('baseline', 'table', TableConfig)
def make_table(config: TableConfig) -> PairCalculator:
    """Tabulated pair energies, joined by cubic splines.

    Examples
    --------
    .. code-block:: toml

        [training]
        type = "pace_linear"

        [training.baseline]
        type = "table"

        [training.baseline.pairs.Cu-Cu]
        r = [1.2, 1.6, 2.0, 2.4, 2.8]
        energy = [12.0, 3.9, 1.1, 0.2, 0.0]
    """
    return PairCalculator({pair_of(name): _curve(pair) for name, pair in config.pairs.items()})


def _curve(pair: TablePair) -> PairCurve:
    spline = CubicSpline(pair.r, pair.energy, bc_type=('not-a-knot', (1, 0.0)))
    slope, begin = spline.derivative(), pair.r[0]

    def function(distances: FloatArray) -> tuple[FloatArray, FloatArray]:
        inside = np.maximum(distances, begin)
        slopes = np.asarray(slope(inside), float)
        return np.asarray(spline(inside), float) + slopes * (distances - inside), slopes

    return PairCurve(function, pair.r[-1])
