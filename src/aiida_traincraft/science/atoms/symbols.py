"""Symbols of elements as people write them."""

from __future__ import annotations

from ase.data import atomic_numbers
from ase.formula import Formula


def is_element(symbol: str) -> bool:
    """Whether this is the symbol of an element; ASE has a placeholder among them."""
    number: int = atomic_numbers.get(symbol, 0)
    return number > 0


def check_symbol(symbol: str) -> str:
    """Take a symbol of an element as it is.

    Raises
    ------
    ValueError
        If it is none, with the right spelling if only that is wrong.
    """
    if not is_element(symbol):
        raise ValueError(f'{symbol!r} is no chemical element{suggestion(symbol)}')
    return symbol


def check_formula(formula: str) -> str:
    """Take an element or a formula, such as ``Cu`` or ``NaCl``, as it is.

    Raises
    ------
    ValueError
        If a part of it is no element.
    """
    try:
        symbols = Formula(formula, strict=True).count()
    except ValueError:
        symbols = {}
    if not symbols or not all(map(is_element, symbols)):
        raise ValueError(f'{formula!r} is no element and no formula of elements{suggestion(formula)}')
    return formula


def suggestion(symbol: str) -> str:
    """Words that name the element whose symbol is spelt otherwise; empty if there is none."""
    spelled = symbol.strip().capitalize()
    return f'; did you mean {spelled!r}?' if is_element(spelled) else ''
