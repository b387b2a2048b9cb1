"""ASE calculators by name, and what each can do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.base import PluginConfig
from aiida_traincraft.science.structure import Structure

NEEDED = ('energy', 'forces')
"""Properties without which a label is none."""


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
        It may have ``elements`` (a frozenset of symbols, of the class or a property); None (or nothing) means any.
    elements
        Chemical symbols of the structures to come.

    Raises
    ------
    ValueError
        Naming the missing elements and the supported ones.
    """
    supported: frozenset[str] | None = getattr(config, 'elements', None)
    missing = sorted(set(elements) - supported) if supported is not None else []
    if supported is not None and missing:
        raise ValueError(
            f'calculator {config.type!r} does not know {", ".join(missing)}; it supports {", ".join(sorted(supported))}'
        )


def check_properties(config: PluginConfig, wanted: Iterable[str], periodic: bool) -> None:
    """Refuse properties that a calculator does not have.

    Parameters
    ----------
    config
        It may have ``properties`` (a frozenset, of the class or a property) and ``periodic`` (those of them that it
        gives of periodic structures too); what it does not say is not checked.
    wanted
        Properties: ``energy``, ``forces``, ``stress``, ``dipole``, ``polarizability``.
    periodic
        Whether the structures are periodic.

    Raises
    ------
    ValueError
        With what is missing.
    """
    given: frozenset[str] | None = getattr(config, 'properties', None)
    of = ''
    if periodic and given is not None and set(wanted) <= given:
        given, of = getattr(config, 'periodic', given), ' of periodic structures'
    missing = sorted(set(wanted) - given) if given is not None else []
    if given is not None and missing:
        raise ValueError(
            f'calculator {config.type!r} gives no {", ".join(missing)}{of}; it gives {", ".join(sorted(given))}'
        )


def check_structures(config: PluginConfig, structures: Iterable[Structure], wanted: Iterable[str] = NEEDED) -> None:
    """Refuse what a calculator cannot calculate.

    Parameters
    ----------
    config
        Beside what :func:`check_elements` and :func:`check_properties` look at, it may have ``dimensions``: the numbers
        of periodic directions (a frozenset) that it can do.
    structures
        Structures to come.
    wanted
        Properties to come.

    Raises
    ------
    ValueError
        With the first thing that it cannot do.
    """
    dimensions: frozenset[int] = getattr(config, 'dimensions', frozenset(range(4)))
    for structure in structures:
        check_elements(config, structure.elements)
        found = int(structure.atoms.pbc.sum())
        if found not in dimensions:
            raise ValueError(
                f'calculator {config.type!r} cannot do structures that are periodic in {found} directions '
                f'({structure.formula}), only in {" or ".join(map(str, sorted(dimensions)))}: the transform "set_pbc" '
                'changes that'
            )
        check_properties(config, wanted, found > 0)


def check_cell_sizes(config: PluginConfig, structures: Sequence[Structure]) -> None:
    """Refuse cells of several sizes of one composition, for a calculator whose energies then do not compare.

    Parameters
    ----------
    config
        It may have ``gamma_only``, True for a calculator that samples the Gamma point only.
    structures
        All starting geometries that are labelled together.

    Raises
    ------
    ValueError
        Naming the composition and the numbers of atoms.
    """
    if not getattr(config, 'gamma_only', False):
        return
    sizes: dict[str, set[int]] = {}
    for structure in structures:
        if structure.atoms.pbc.any():
            reduced = structure.atoms.symbols.formula.reduce()[0]
            sizes.setdefault(str(reduced.convert('hill')), set()).add(len(structure))
    for formula, found in sizes.items():
        if len(found) > 1:
            raise ValueError(
                f'calculator {config.type!r} samples the Gamma point only, so energies of periodic {formula} in cells '
                f'of {", ".join(map(str, sorted(found)))} atoms do not compare: use cells of one size'
            )
