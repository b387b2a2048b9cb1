"""Trainer ``pace``: nonlinear ACE by pacemaker."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from aiida_traincraft.science.config.base import StrictModel
from aiida_traincraft.science.config.training.base import PaceTraining
from aiida_traincraft.science.registry import register


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

    aliases: ClassVar[tuple[str, ...]] = ('pacemaker', 'ace', 'nonlinear')
    roles: ClassVar[tuple[str, ...]] = ('pace', 'pacemaker')
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
    """Continuations after the walltime ran out or the job was killed."""

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
