"""Baseline ``lj``: a Lennard-Jones potential for each pair of elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from ase.neighborlist import neighbor_list
from pydantic import Field, model_validator
from scipy.optimize import nnls

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.config.base import StrictModel
from aiida_traincraft.science.config.kinds import BaselineConfig
from aiida_traincraft.science.models.pair import Pair, PairCalculator, PairCurve, pair_of, pairs_between, pairs_of
from aiida_traincraft.science.registry import register

if TYPE_CHECKING:
    from aiida_traincraft.science.structure import Structure

SWITCH = 2.0 / 3.0
"""Where the energy begins to be switched off, as a fraction of the cutoff."""
LEAST_EPSILON = 1e-3
"""Smallest well (eV) that is fitted: where the forces show none, the repulsion of a pair stays."""


class LjPair(StrictModel):
    """Two elements."""

    epsilon: float = Field(gt=0)
    """Depth of the well (eV)."""
    sigma: float = Field(gt=0)
    """Distance of zero energy (Å)."""


class LjConfig(BaselineConfig):
    """Lennard-Jones potential, with energies that go smoothly to zero over the last third before the cutoff."""

    type: Literal['lj'] = 'lj'
    pairs: dict[str, LjPair] = {}
    """Parameters by pair, as ``{ Cu-Cu = { epsilon = 0.4, sigma = 2.3 } }``; without any, those of all pairs are fitted
    to the training set: the well lies at the first neighbours, and the forces give its depth."""
    cutoff: float = Field(default=5.0, gt=0, le=20.0)
    """Å; not larger than that of the potential."""

    def reach(self) -> float:
        """The cutoff."""
        return self.cutoff

    def known_pairs(self) -> frozenset[Pair] | None:
        """Those given; None while they are to be fitted."""
        return pairs_of(self.pairs) if self.pairs else None

    def fitted(self, structures: Sequence[Structure]) -> LjConfig:
        """The same with the parameters of all pairs."""
        return self if self.pairs else self.model_copy(update={'pairs': fit_lj(structures, self.cutoff)})

    def matches(self, stored: BaselineConfig) -> bool:
        """Whether the parameters are the same, or those that were fitted with the same cutoff."""
        if isinstance(stored, LjConfig) and not self.pairs:
            return self.cutoff == stored.cutoff
        return self == stored

    @model_validator(mode='after')
    def _sound(self) -> LjConfig:
        pairs_of(self.pairs)
        for name, pair in self.pairs.items():
            if pair.sigma >= self.cutoff:
                raise ValueError(f'{name}: "sigma" ({pair.sigma} Å) must be below "cutoff" ({self.cutoff} Å)')
        return self


@register('baseline', 'lj', LjConfig)
def make_lj(config: LjConfig) -> PairCalculator:
    """Lennard-Jones potential for each pair of elements, with parameters given, or fitted to the training set.

    Examples
    --------
    .. code-block:: toml

        [training]
        type = "pace_linear"

        [training.baseline]
        type = "lj"
        pairs = { Cu-Cu = { epsilon = 0.2, sigma = 2.28 } }
        cutoff = 5.0
    """
    if not config.pairs:
        raise ValueError('the parameters of this baseline "lj" are still to be fitted to a training set')
    return PairCalculator(
        {pair_of(name): lj_curve(pair.epsilon, pair.sigma, config.cutoff) for name, pair in config.pairs.items()}
    )


def lj_curve(epsilon: float, sigma: float, cutoff: float) -> PairCurve:
    """``4 ε ((σ/r)¹² - (σ/r)⁶)`` times ``1 - 10 x³ + 15 x⁴ - 6 x⁵``; x is 0 at two thirds of the cutoff, 1 at it."""
    begin = SWITCH * cutoff

    def function(distances: FloatArray) -> tuple[FloatArray, FloatArray]:
        sixth = (sigma / distances) ** 6
        energy = 4 * epsilon * (sixth**2 - sixth)
        slope = 24 * epsilon * (sixth - 2 * sixth**2) / distances
        x = np.clip((distances - begin) / (cutoff - begin), 0.0, 1.0)
        switch = 1 - x**3 * (10 - 15 * x + 6 * x**2)
        falling = -30 * x**2 * (1 - x) ** 2 / (cutoff - begin)
        return energy * switch, slope * switch + energy * falling

    return PairCurve(function, cutoff)


def fit_lj(structures: Sequence[Structure], cutoff: float) -> dict[str, LjPair]:
    """Lennard-Jones parameters of all pairs of elements.

    The well of a pair lies at the median distance of an atom from its nearest neighbour of the other element (the sum
    of the covalent radii where none comes within the cutoff). The depths are those of the smallest sum of squared
    differences from the forces, so what is left of the forces is never more than there was; they are at least 1 meV.

    Parameters
    ----------
    structures
        With ``forces`` (eV/Å).
    cutoff
        Å.
    """
    nearest: dict[Pair, list[FloatArray]] = {}
    for structure in structures:
        for pair, distances in _nearest(structure, cutoff).items():
            nearest.setdefault(pair, []).append(distances)
    pairs = pairs_between(element for structure in structures for element in structure.elements)
    sigmas = []
    for pair in pairs:
        contact = sum(float(covalent_radii[atomic_numbers[element]]) for element in pair)
        well = float(np.median(np.concatenate(nearest[pair]))) if pair in nearest else min(contact, cutoff)
        sigmas.append(well / 2 ** (1 / 6))
    units = [PairCalculator({pair: lj_curve(1.0, sigma, cutoff)}) for pair, sigma in zip(pairs, sigmas, strict=True)]
    columns = [
        np.stack([np.ravel(unit.get_property('forces', structure.atoms)) for unit in units], axis=1)
        for structure in structures
    ]
    forces = np.concatenate([np.ravel(structure.properties['forces']) for structure in structures])
    depths, _ = nnls(np.concatenate(columns), forces)
    return {
        '-'.join(pair): LjPair(epsilon=max(float(depth), LEAST_EPSILON), sigma=sigma)
        for pair, depth, sigma in zip(pairs, depths, sigmas, strict=True)
    }


def _nearest(structure: Structure, cutoff: float) -> dict[Pair, FloatArray]:
    """Distance (Å) of each atom from its nearest neighbour of each element within the cutoff, by pair."""
    symbols = np.array(structure.atoms.get_chemical_symbols())
    first, second, distances = neighbor_list('ijd', structure.atoms, cutoff)
    found = {}
    for one, other in pairs_between(structure.elements):
        shortest = np.full(len(symbols), np.inf)
        between = ((symbols[first] == one) & (symbols[second] == other)) | (
            (symbols[first] == other) & (symbols[second] == one)
        )
        np.minimum.at(shortest, first[between], distances[between])
        if np.isfinite(shortest).any():
            found[one, other] = shortest[np.isfinite(shortest)]
    return found
