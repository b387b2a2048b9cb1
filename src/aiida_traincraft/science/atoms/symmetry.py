"""Symmetry as spglib finds it."""

from __future__ import annotations

from typing import Any, Literal


def find_symmetry(
    question: Literal['get_symmetry', 'get_symmetry_dataset', 'standardize_cell'],
    cell: tuple[Any, Any, Any],
    **keys: Any,
) -> Any:
    """Answer of the function of spglib of this name; None where it finds nothing, as where atoms coincide.

    A global switch of spglib, which phonopy sets, decides whether that raises or returns None.
    """
    import spglib

    try:
        return getattr(spglib, question)(cell, **keys)
    except spglib.SpglibError:
        return None
