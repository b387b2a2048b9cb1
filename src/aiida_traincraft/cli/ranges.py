"""The option type ``MIN:MAX``."""

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
        if None not in bounds and bounds[0] > bounds[1]:
            self.fail(f'{value!r}: the first number is larger than the second', param, ctx)
        return bounds
