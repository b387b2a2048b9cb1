"""Calculator ``custom``: any ASE calculator, by its dotted path."""

from __future__ import annotations

import importlib
import sys
from typing import Any, Literal

from pydantic import Field

from aiida_traincraft.science.config.kinds import CalculatorConfig
from aiida_traincraft.science.registry import FILE_MODULE, register

Property = Literal['energy', 'forces', 'stress', 'dipole', 'polarizability']


class CustomConfig(CalculatorConfig):
    """An ASE calculator that is not known here."""

    type: Literal['custom'] = 'custom'
    factory: str = Field(pattern=r'^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$')
    """``module:attribute`` of a class or function that makes the calculator; the module is installed on the machine
    that calculates, or is a plugin file of the campaign, by its name without ``.py``."""
    arguments: dict[str, Any] = {}
    """Keyword arguments of the factory."""
    gives: tuple[Property, ...] | None = None
    """Properties of the calculator, so that a campaign can check them before it begins."""

    def given_properties(self) -> frozenset[str] | None:
        """Properties of the calculator, None if they are not told."""
        return None if self.gives is None else frozenset(self.gives)


@register('calculator', 'custom', CustomConfig)
def make_custom(config: CustomConfig) -> Any:
    """Any ASE calculator, by the dotted path of its class or of a function that makes it.

    Raises
    ------
    ValueError
        If the factory cannot be found, does not take the arguments, or gives no ASE calculator.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "crystal"
        name = "Ar"
        crystalstructure = "fcc"
        a = 5.26
        cubic = true

        [calculator]
        type = "custom"
        factory = "ase.calculators.lj:LennardJones"
        arguments = { sigma = 3.4, epsilon = 0.0104, rc = 8.5 }
    """
    module, _, attribute = config.factory.partition(':')
    try:
        found: Any = sys.modules.get(FILE_MODULE + module) or importlib.import_module(module)
        for name in attribute.split('.'):
            found = getattr(found, name)
    except Exception as error:
        raise ValueError(f'"factory" {config.factory!r} cannot be imported ({type(error).__name__}: {error})') from None
    try:
        calculator = found(**config.arguments)
    except Exception as error:
        raise ValueError(f'"factory" {config.factory!r} failed ({type(error).__name__}: {error})') from None
    if not hasattr(calculator, 'get_potential_energy') or not hasattr(calculator, 'implemented_properties'):
        raise ValueError(f'"factory" {config.factory!r} gave a {type(calculator).__name__}, no ASE calculator')
    return calculator
