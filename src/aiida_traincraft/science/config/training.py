"""Section ``[training]``: the potential and how it is fitted."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from aiida_traincraft.science.config.base import PluginConfig, StrictModel
from aiida_traincraft.science.registry import register

Radials = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
Momenta = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]


class PaceTraining(PluginConfig):
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
    radial_basis: Literal['SBessel', 'ChebExpCos', 'ChebPow', 'ChebLinear'] = 'SBessel'
    """Radial functions."""
    baseline: Literal['none', 'zbl'] = 'zbl'
    """Core repulsion below the shortest distance of the training set."""
    energy_weight: float = Field(default=20.0, gt=0)
    """Weight of an energy per atom (eV) relative to a force component (eV/Å) in the linear fit."""
    stress_weight: float = Field(default=20.0, ge=0)
    """Weight of a stress component times the volume per atom (eV) relative to a force component; 0 leaves it out."""
    ridge: list[Annotated[float, Field(ge=0)]] = [1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2]
    """Ridge strengths tried in the linear fit on the hold-out set; the best is used with all data."""
    holdout_fraction: float = Field(default=0.15, gt=0, lt=0.9)
    """Fraction of the training structures held out for the ridge scan."""

    @model_validator(mode='after')
    def _orders(self) -> PaceTraining:
        if (self.nradmax_by_orders is None) != (self.lmax_by_orders is None):
            raise ValueError('"nradmax_by_orders" and "lmax_by_orders" go together')
        if len(self.nradmax_by_orders or []) != len(self.lmax_by_orders or []):
            raise ValueError('"nradmax_by_orders" and "lmax_by_orders" must have the same length')
        if not self.ridge:
            raise ValueError('"ridge" needs at least one value')
        return self


@register('trainer', 'pace_linear')
class PaceLinearTraining(PaceTraining):
    """Linear ACE by least squares on pyace's own basis: seconds."""

    type: Literal['pace_linear'] = 'pace_linear'


class UniformWeighting(StrictModel):
    """All structures alike."""

    type: Literal['uniform'] = 'uniform'


class EnergyBasedWeighting(StrictModel):
    """pacemaker's EnergyBasedWeightingPolicy: low-energy structures weigh more."""

    type: Literal['energy_based'] = 'energy_based'
    DElow: float = Field(default=1.0, gt=0)
    """Structures up to this far above the minimum (eV/atom) share ``wlow`` of the weight."""
    DEup: float = Field(default=10.0, gt=0)
    """Structures further above the minimum (eV/atom) are dropped."""
    DFup: float = Field(default=50.0, gt=0)
    """Structures with a larger force (eV/Å) are dropped."""
    DE: float = Field(default=1.0, gt=0)
    """Shift in the energy weights (eV/atom)."""
    DF: float = Field(default=1.0, gt=0)
    """Shift in the force weights (eV/Å)."""
    wlow: float = Field(default=0.75, gt=0, lt=1)
    """Share of the weight of the low-energy structures."""
    energy: Literal['convex_hull', 'cohesive'] = 'convex_hull'
    """Energy that is measured from."""
    reftype: Literal['all', 'bulk', 'cluster'] = 'all'
    """Structures used as reference."""


class Ladder(StrictModel):
    """Grow the basis in steps."""

    step: Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, lt=1)] = 10
    """Functions added per step, or the fraction."""
    type: Literal['body_order', 'power_order'] = 'body_order'
    """Order in which functions are added."""


@register('trainer', 'pace')
class PaceNonlinearTraining(PaceTraining):
    """Nonlinear ACE by pacemaker with the tensorpot evaluator."""

    roles = ('pace', 'pacemaker')
    type: Literal['pace'] = 'pace'
    embedding: Literal['FinnisSinclair', 'FinnisSinclairShiftedScaled'] = 'FinnisSinclairShiftedScaled'
    """Form of the embedding."""
    fs_parameters: list[float] = [1.0, 1.0, 1.0, 0.5]
    """Prefactor and exponent of each density, in turn."""
    kappa: float = Field(default=0.3, ge=0, le=1)
    """Share of the forces in the loss; the energies have 1 - kappa."""
    l1: float = Field(default=1e-8, ge=0)
    """L1 regularisation of the coefficients."""
    l2: float = Field(default=1e-8, ge=0)
    """L2 regularisation of the coefficients."""
    optimizer: Literal['BFGS', 'L-BFGS-B'] = 'BFGS'
    """scipy's minimiser."""
    maxiter: int = Field(default=200, ge=1)
    """Iterations of the minimiser."""
    batch_size: int = Field(default=50, ge=1)
    """Structures per batch of the evaluator."""
    display_step: int = Field(default=20, ge=1)
    """Iterations between two test errors."""
    weighting: Annotated[UniformWeighting | EnergyBasedWeighting, Field(discriminator='type')] = UniformWeighting()
    """Weights of the structures."""
    ladder: Ladder | None = None
    """Grow the basis in steps; needs ``warm_start = "none"``."""
    warm_start: Literal['linear', 'none'] = 'linear'
    """"linear" starts from a linear fit of the same functions, lifted to this embedding."""
    initial_potential: str | None = None
    """UUID of a stored potential to fine-tune instead."""
    max_restarts: int = Field(default=3, ge=0)
    """Continuations after the walltime ran out."""

    @property
    def ndensity(self) -> int:
        """Number of densities in the embedding."""
        return len(self.fs_parameters) // 2

    @model_validator(mode='after')
    def _combination(self) -> PaceNonlinearTraining:
        if not self.fs_parameters or len(self.fs_parameters) % 2:
            raise ValueError('"fs_parameters" needs two numbers per density (prefactor, exponent)')
        if self.ladder is not None and (self.warm_start == 'linear' or self.initial_potential):
            raise ValueError('"ladder" grows a new potential: set warm_start = "none" and no "initial_potential"')
        if self.warm_start == 'linear' and self.fs_parameters[:2] != [1.0, 1.0]:
            raise ValueError('warm_start = "linear" needs a linear first density: fs_parameters must begin with 1, 1')
        return self
