"""Option types: ``MIN:MAX`` and chemical formulas."""

from __future__ import annotations

import math
from typing import Any

import click


class Range(click.ParamType):
    """``MIN:MAX``, either of which may be empty, as a pair of float or None."""

    name = 'MIN:MAX'

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float | None, float | None]:
        """Read the two bounds."""
        if isinstance(value, tuple):
            return value
        low, colon, high = str(value).partition(':')
        try:
            bounds = float(low) if low else None, float(high) if high else None
        except ValueError:
            bounds = math.nan, math.nan
        if not colon or any(bound is not None and math.isnan(bound) for bound in bounds):
            self.fail(f'{value!r} is not MIN:MAX, for example -4.1:-3.9, 0.5: or :10', param, ctx)
        lowest, highest = bounds
        if lowest is not None and highest is not None and lowest > highest:
            self.fail(f'{value!r}: the first number is larger than the second', param, ctx)
        return bounds


class Formula(click.ParamType):
    """Chemical formula, given in any order of the elements, in Hill's."""

    name = 'FORMULA'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read the formula."""
        from ase import formula

        try:
            hill = str(formula.Formula(str(value), strict=True).format('hill'))
        except ValueError:
            hill = ''
        if not hill:
            self.fail(f'{value!r} is no chemical formula, for example Al3Ni', param, ctx)
        return hill
