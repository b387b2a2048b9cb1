"""Calculator ``lennard_jones``."""

from __future__ import annotations

from typing import ClassVar, Literal

from ase.calculators.lj import LennardJones
from pydantic import Field, model_validator

from aiida_traincraft.science.config.kinds import CalculatorConfig
from aiida_traincraft.science.registry import register


class LennardJonesConfig(CalculatorConfig):
    """One Lennard-Jones potential for all atoms, cut and smoothed."""

    aliases: ClassVar[tuple[str, ...]] = ('lj',)
    elements: ClassVar[frozenset[str] | None] = None
    properties: ClassVar[frozenset[str] | None] = frozenset({'energy', 'forces', 'stress'})
    type: Literal['lennard_jones'] = 'lennard_jones'
    sigma: float = Field(ge=0.01, le=100)
    """Distance of zero energy (Å)."""
    epsilon: float = Field(gt=0)
    """Depth of the well (eV)."""
    rc: float = Field(ge=0.01, le=1000)
    """Cutoff (Å); energy and forces go to zero smoothly over its last third."""

    @model_validator(mode='after')
    def _reach(self) -> LennardJonesConfig:
        if self.rc <= self.sigma:
            raise ValueError(f'"rc" ({self.rc} Å) must be larger than "sigma" ({self.sigma} Å)')
        return self


@register('calculator', 'lennard_jones', LennardJonesConfig)
def make_lennard_jones(config: LennardJonesConfig) -> LennardJones:
    """Lennard-Jones potential for any element.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "crystal"
        name = "Ar"
        cubic = true

        [calculator]
        type = "lennard_jones"
        sigma = 3.4
        epsilon = 0.0103
        rc = 8.5
    """
    return LennardJones(sigma=config.sigma, epsilon=config.epsilon, rc=config.rc, ro=2.0 / 3.0 * config.rc, smooth=True)
