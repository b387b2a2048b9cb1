"""Calculator ``emt``: effective medium theory, a teacher for late transition metals that costs milliseconds."""

from __future__ import annotations

from typing import ClassVar, Literal

from ase.calculators.emt import EMT, parameters

from aiida_traincraft.science.config.kinds import CalculatorConfig
from aiida_traincraft.science.registry import register


class EmtConfig(CalculatorConfig):
    """Effective medium theory as in ASE; no parameters."""

    elements: ClassVar[frozenset[str] | None] = frozenset(parameters)
    properties: ClassVar[frozenset[str] | None] = frozenset({'energy', 'forces', 'stress'})
    type: Literal['emt'] = 'emt'


@register('calculator', 'emt', EmtConfig)
def make_emt(config: EmtConfig) -> EMT:
    """Effective medium theory for Al, Cu, Ag, Au, Ni, Pd, Pt (H, C, N, O for tests only).

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "crystal"
        name = "Cu"
        cubic = true

        [calculator]
        type = "emt"
    """
    return EMT()
