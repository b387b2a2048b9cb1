"""What linear and nonlinear ACE share."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from aiida_traincraft.science.baselines.zbl import ZblConfig
from aiida_traincraft.science.config.fields import BaselineField
from aiida_traincraft.science.config.kinds import BaselineConfig, TrainerConfig


def check_reach(baseline: BaselineConfig, key: str, cutoff: float) -> None:
    """Refuse a baseline that reaches farther than the potential sees: what it gets wrong there could not be mended.

    Raises
    ------
    ValueError
        Tells both distances (Å), and the ``key`` of the potential's.
    """
    reach = baseline.reach()
    if reach is not None and reach > cutoff:
        raise ValueError(f'"baseline" reaches {reach:g} Å, which must not be more than "{key}" ({cutoff:g} Å)')


Radials = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]


Momenta = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]


ReductionMethod = Literal['greedy', 'maxvol']


class PaceTraining(TrainerConfig):
    """What linear and nonlinear ACE share: the basis."""

    roles: ClassVar[tuple[str, ...]] = ('pace',)
    """Codes of ``[codes]`` that it needs."""

    cutoff: float = Field(default=5.5, gt=1.0, le=20.0)
    """Radial cutoff (Å)."""
    functions: Annotated[int, Field(ge=5)] | Literal['auto'] = 'auto'
    """Functions per element; "auto" takes as many as the data carry: half the atoms of the rarest element."""
    max_functions: int = Field(default=300, ge=5)
    """Upper limit of functions per element with "auto"."""
    nradmax_by_orders: Radials | None = None
    """Radial functions per body order (2-body first); default is pacemaker's own template."""
    lmax_by_orders: Momenta | None = None
    """Angular momentum per body order (2-body first); goes with ``nradmax_by_orders``."""
    radial_basis: Literal['auto', 'SBessel', 'ChebExpCos', 'ChebPow', 'ChebLinear'] = 'auto'
    """Radial functions; "auto" takes SBessel or ChebExpCos, by the evidence of the linear fit: SBessel without one."""
    baseline: BaselineField = ZblConfig()
    """What is subtracted from the labels and added to the potential, as a table or a name: "zbl" (core repulsion below
    the shortest distance of the training set, which subtracts nothing), "none", "lj", "table", or a plugin."""
    energy_weight: Annotated[float, Field(gt=0)] | Literal['auto'] = 'auto'
    """Weight of an energy per atom (eV) relative to a force component (eV/Å) in the linear fit; "auto" takes it from
    the data with ``regression = "bayesian"``, and is 20 with "ridge"."""
    stress_weight: Annotated[float, Field(ge=0)] | Literal['auto'] = 'auto'
    """Weight of a stress component times the volume per atom (eV) relative to a force component; 0 leaves it out,
    "auto" is as for energies, and 1 with "ridge"."""
    regression: Literal['bayesian', 'ridge'] = 'bayesian'
    """Linear fit: noise and a prior of smooth functions from the data, or one ridge from a hold-out set."""
    ridge: list[Annotated[float, Field(ge=0)]] = [1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2]
    """With ``regression = "ridge"``: strengths tried on the hold-out set; the best is used with all data."""
    holdout_fraction: float = Field(default=0.15, gt=0, lt=0.9)
    """Fraction of the training structures held out: for the ridge, and for the errors that are told."""
    active_set_size: Annotated[int, Field(ge=1)] | None = None
    """Number of structures to train on, the most informative ones; all without it, or as long as there are not more."""
    active_set_method: ReductionMethod = 'greedy'
    """How they are found: "greedy" maximises the information one by one, "maxvol" ranks as pace_select does."""

    def neighbour_cutoff(self) -> float:
        """The radial cutoff."""
        return self.cutoff

    def given_baseline(self) -> BaselineConfig:
        """The baseline."""
        return self.baseline

    @model_validator(mode='after')
    def _orders(self) -> PaceTraining:
        if (self.nradmax_by_orders is None) != (self.lmax_by_orders is None):
            raise ValueError('"nradmax_by_orders" and "lmax_by_orders" go together')
        if len(self.nradmax_by_orders or []) != len(self.lmax_by_orders or []):
            raise ValueError('"nradmax_by_orders" and "lmax_by_orders" must have the same length')
        if not self.ridge:
            raise ValueError('"ridge" needs at least one value')
        check_reach(self.baseline, 'cutoff', self.cutoff)
        return self
