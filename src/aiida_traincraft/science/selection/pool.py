"""What the stages of the funnel work on: the pool of candidates, its context, and how a stage reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from pydantic import Field, model_validator

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.config.kinds import SelectorConfig
from aiida_traincraft.science.structure import Structure


@dataclass(frozen=True, eq=False)
class FunnelContext:
    """What the funnel needs to know besides the frames."""

    budget: int
    """Most structures that may be selected."""
    known_hashes: frozenset[str] = frozenset()
    """Content hashes of structures that are labelled or were already tried."""
    training_descriptors: FloatArray | None = None
    """(n, d) descriptors of the training set by the potential that made the pool's ``descriptor``."""
    lo: float | None = None
    """Uncertainty above which a frame is a candidate."""
    hi: float | None = None
    """Uncertainty at which a run halts."""
    seed: int = 0
    """Seed of all random choices."""
    costs: Sequence[tuple[str, float]] = ()
    """Formula (Hill order) and cost (core-seconds) of labels made before; given to a funnel with a stage whose config
    class carries ``needs_costs: ClassVar[bool] = True``."""


@dataclass(frozen=True)
class StageResult:
    """What one stage did."""

    entered: int
    """Frames that it looked at."""
    dropped: int = 0
    """Frames that it ruled out."""
    picked: int = 0
    """Frames that it selected."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Counts: why frames were ruled out, or why fewer were picked than allowed."""


class PickConfig(SelectorConfig):
    """Base of the stages that pick: their share of the budget, as a fraction or as a number."""

    fraction: float | None = Field(default=None, gt=0, le=1)
    """Share of the budget that this stage may pick."""
    n: int | None = Field(default=None, ge=1)
    """Frames that this stage may pick, in place of a fraction."""

    @model_validator(mode='after')
    def _one_share(self) -> PickConfig:
        if (self.fraction is None) == (self.n is None):
            raise ValueError('give either "fraction" (of the budget) or "n" (frames)')
        return self


@dataclass
class Pool:
    """Candidates on their way through the funnel; frames are known by their index and never changed."""

    frames: Sequence[Structure]
    context: FunnelContext
    rng: np.random.Generator
    """Source of randomness of the stage that runs now."""
    alive: list[int] = field(init=False)
    """Indices of the frames still in, in the pool's order."""
    chosen: list[int] = field(init=False, default_factory=list)
    """Indices of the frames picked so far, in the order of picking."""
    has_picked: bool = field(init=False, default=False)
    """Whether a picking stage has run, even if it picked nothing."""
    uncertainty: FloatArray = field(init=False)
    """(n_frames,) largest uncertainty of the atoms of each frame; NaN where unknown."""
    _fraction_spent: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.alive = list(range(len(self.frames)))
        values = (frame.properties.get('uncertainty') for frame in self.frames)
        largest = [np.nan if value is None or np.size(value) == 0 else np.max(value) for value in values]
        self.uncertainty = np.array(largest, dtype=np.float64)

    def drop(self, verdicts: Mapping[int, str]) -> StageResult:
        """Rule out the given frames (index: reason)."""
        entered = len(self.alive)
        self.alive = [index for index in self.alive if index not in verdicts]
        return StageResult(entered, dropped=entered - len(self.alive), reasons=dict(Counter(verdicts.values())))

    def pick(self, indices: Iterable[int], share: int, why_fewer: str = 'no frame left') -> StageResult:
        """Move frames, best first, from ``alive`` to ``chosen``; report what was left of the stage's share."""
        picked = [int(index) for index in indices]
        entered = len(self.alive)
        taken = set(picked)
        self.alive = [index for index in self.alive if index not in taken]
        self.chosen += picked
        self.has_picked = True
        unfilled = {f'share not filled: {why_fewer}': share - len(picked)} if len(picked) < share else {}
        return StageResult(entered, picked=len(picked), reasons=unfilled)

    def share(self, config: PickConfig) -> int:
        """Frames that a picking stage may pick; never more than the budget still allows.

        Fractions are rounded on their running sum, so that fractions that add up to 1 give exactly the budget.
        """
        budget = self.context.budget
        wanted = config.n
        if wanted is None:
            before = round(self._fraction_spent * budget)
            self._fraction_spent += config.fraction or 0.0
            wanted = round(self._fraction_spent * budget) - before
        return max(0, min(wanted, budget - len(self.chosen)))
