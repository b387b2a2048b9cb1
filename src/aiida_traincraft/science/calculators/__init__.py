"""ASE calculators by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.base import PluginConfig


def make_calculator(config: PluginConfig) -> Any:
    """ASE calculator that a config describes.

    Raises
    ------
    UnknownPluginError
        If no calculator of that type is registered.
    """
    return registry.get('calculator', config.type).function(config)


def check_elements(config: PluginConfig, elements: Iterable[str]) -> None:
    """Refuse elements that a calculator does not know.

    Parameters
    ----------
    config
        Its class may carry ``elements: ClassVar[frozenset[str] | None]``; None (or nothing) means any element.
    elements
        Chemical symbols of the structures to come.

    Raises
    ------
    ValueError
        Naming the missing elements and the supported ones.
    """
    supported: frozenset[str] | None = getattr(type(config), 'elements', None)
    missing = sorted(set(elements) - supported) if supported is not None else []
    if supported is not None and missing:
        raise ValueError(
            f'calculator {config.type!r} does not know {", ".join(missing)}; it supports {", ".join(sorted(supported))}'
        )
