"""Baseline ``lj``: a Lennard-Jones potential for each pair of elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from ase.data import atomic_numbers, covalent_radii
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

    core_repulsion: ClassVar[bool] = False
    type: Literal['lj'] = 'lj'
    pairs: dict[str, LjPair] = {}
    """Parameters by pair, as ``{ Cu-Cu = { epsilon = 0.4, sigma = 2.3 } }``; without any, those of all pairs are fitted
    to the forces of the training set."""
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
        {
            pair_of(name): lj_curve(4 * pair.epsilon * pair.sigma**12, 4 * pair.epsilon * pair.sigma**6, config.cutoff)
            for name, pair in config.pairs.items()
        }
    )


def lj_curve(repulsion: float, attraction: float, cutoff: float) -> PairCurve:
    """``(A r⁻¹² - B r⁻⁶) (1 - 10 x³ + 15 x⁴ - 6 x⁵)``, where x is 0 at two thirds of the cutoff and 1 at it.

    Parameters
    ----------
    repulsion, attraction
        A (eV Å¹²) and B (eV Å⁶).
    cutoff
        Å.
    """
    begin = SWITCH * cutoff

    def function(distances: FloatArray) -> tuple[FloatArray, FloatArray]:
        high, low = repulsion / distances**12, attraction / distances**6
        x = np.clip((distances - begin) / (cutoff - begin), 0.0, 1.0)
        switch = 1 - x**3 * (10 - 15 * x + 6 * x**2)
        falling = -30 * x**2 * (1 - x) ** 2 / (cutoff - begin)
        return (high - low) * switch, (6 * low - 12 * high) / distances * switch + (high - low) * falling

    return PairCurve(function, cutoff)


def fit_lj(structures: Sequence[Structure], cutoff: float) -> dict[str, LjPair]:
    """Lennard-Jones parameters of all pairs of elements, by least squares of the forces with no term below zero.

    A pair without attraction keeps its repulsion, and gets a well of 1 meV (or one whose ``sigma`` is two thirds of the
    cutoff); one without repulsion gets a weak one at the sum of the covalent radii.

    Parameters
    ----------
    structures
        With ``forces`` (eV/Å).
    cutoff
        Å.
    """
    pairs = pairs_between(element for structure in structures for element in structure.elements)
    terms = [PairCalculator({pair: lj_curve(*unit, cutoff)}) for pair in pairs for unit in ((1.0, 0.0), (0.0, 1.0))]
    design = np.concatenate(
        [
            np.stack([np.ravel(term.get_property('forces', structure.atoms)) for term in terms], axis=1)
            for structure in structures
        ]
    )
    forces = np.concatenate([np.ravel(structure.properties['forces']) for structure in structures])
    scale = np.linalg.norm(design, axis=0)
    scale[scale == 0] = 1.0
    found = (nnls(design / scale, forces)[0] / scale).reshape(-1, 2)
    return {
        '-'.join(pair): _parameters(pair, float(repulsion), float(attraction), cutoff)
        for pair, (repulsion, attraction) in zip(pairs, found, strict=True)
    }


def _parameters(pair: Pair, repulsion: float, attraction: float, cutoff: float) -> LjPair:
    if repulsion == 0:
        contact = sum(float(covalent_radii[atomic_numbers[element]]) for element in pair)
        return LjPair(epsilon=LEAST_EPSILON, sigma=min(contact, SWITCH * cutoff))
    epsilon = max(attraction**2 / (4 * repulsion), LEAST_EPSILON)
    sigma = min((repulsion / (4 * epsilon)) ** (1 / 12), SWITCH * cutoff)
    return LjPair(epsilon=repulsion / (4 * sigma**12), sigma=sigma)
