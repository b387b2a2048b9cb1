"""ASE calculators by name, and what each can do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.kinds import CalculatorConfig, LabelSourceConfig
from aiida_traincraft.science.structure import Structure

NEEDED = ('energy', 'forces')
"""Properties without which a label is none."""


def make_calculator(config: CalculatorConfig) -> Any:
    """ASE calculator that a config describes.

    Raises
    ------
    UnknownPluginError
        If no calculator of that type is registered.
    """
    return registry.get('calculator', config.type).function(config)


def check_elements(config: LabelSourceConfig, elements: Iterable[str]) -> None:
    """Refuse elements that a calculator does not know.

    Parameters
    ----------
    config
        A calculator, or a labeller; one that does not tell its elements is not checked.
    elements
        Chemical symbols of the structures to come.

    Raises
    ------
    ValueError
        Naming the missing elements and the supported ones.
    """
    supported = config.known_elements()
    missing = sorted(set(elements) - supported) if supported is not None else []
    if supported is not None and missing:
        raise ValueError(
            f'calculator {config.type!r} does not know {", ".join(missing)}; it supports {", ".join(sorted(supported))}'
        )


def check_properties(config: LabelSourceConfig, wanted: Iterable[str], periodic: bool) -> None:
    """Refuse properties that a calculator does not have.

    Parameters
    ----------
    config
        A calculator, or a labeller; one that does not tell its properties is not checked.
    wanted
        Properties: ``energy``, ``forces``, ``stress``, ``dipole``, ``polarizability``.
    periodic
        Whether the structures are periodic.

    Raises
    ------
    ValueError
        With what is missing.
    """
    given = config.given_properties()
    of = ''
    if periodic and given is not None and set(wanted) <= given:
        given, of = given if config.periodic is None else config.periodic, ' of periodic structures'
    missing = sorted(set(wanted) - given) if given is not None else []
    if given is not None and missing:
        raise ValueError(
            f'calculator {config.type!r} gives no {", ".join(missing)}{of}; it gives {", ".join(sorted(given))}'
        )


def check_structures(
    config: LabelSourceConfig, structures: Iterable[Structure], wanted: Iterable[str] = NEEDED
) -> None:
    """Refuse what a calculator cannot calculate.

    Parameters
    ----------
    config
        A calculator, or a labeller.
    structures
        Structures to come.
    wanted
        Properties to come.

    Raises
    ------
    ValueError
        With the first thing that it cannot do.
    """
    for structure in structures:
        check_elements(config, structure.elements)
        found = int(structure.atoms.pbc.sum())
        if found not in config.dimensions:
            raise ValueError(
                f'calculator {config.type!r} cannot do structures that are periodic in {found} directions '
                f'({structure.formula}), only in {" or ".join(map(str, sorted(config.dimensions)))}: the transform '
                '"set_pbc" changes that'
            )
        check_properties(config, wanted, found > 0)


def check_cell_sizes(config: LabelSourceConfig, structures: Sequence[Structure]) -> None:
    """Refuse cells of several sizes of one composition, for a calculator whose energies then do not compare.

    Parameters
    ----------
    config
        A calculator, or a labeller.
    structures
        All starting geometries that are labelled together.

    Raises
    ------
    ValueError
        Naming the composition and the numbers of atoms.
    """
    if not config.gamma_only:
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
