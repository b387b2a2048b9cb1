"""How tables and numbers look on a terminal; without AiiDA, for commands that do without it too."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from aiida_traincraft.science.config.run import SHOWN_UUID

IDENTIFIER = re.compile('[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{40}|[0-9a-f]{64}')
PIPE_WIDTH = 300


def wide_console() -> Console:
    """Console that keeps lines whole where they go to a file or pipe, which has no width."""
    console = Console()
    console.width = console.width if console.is_terminal else PIPE_WIDTH
    return console


def new_table(heads: Iterable[str], numbers: Collection[str] = (), **options: Any) -> Table:
    """Table that fits 80 columns: what is too long goes on in the next line, and nothing is cut but by that.

    Parameters
    ----------
    heads
        Heads of the columns.
    numbers
        Those of columns with numbers, which keep to one line.
    **options
        Of rich's Table.
    """
    look: dict[str, Any] = {'box': SIMPLE_HEAD, 'padding': (0, 1, 0, 0), 'pad_edge': False, 'caption_justify': 'left'}
    table = Table(**look | options)
    for head in heads:
        number = head in numbers
        table.add_column(head, justify='right' if number else 'left', no_wrap=number, overflow='fold')
    return table


def rounded(value: float | None) -> str:
    """Number with four digits."""
    if value is None or not math.isfinite(value):
        return '-' if value is None else str(value)
    size = math.floor(math.log10(abs(value))) if value else 0
    return f'{value:.{max(0, 3 - size)}f}' if -4 <= size <= 6 else f'{value:.3e}'


def short(text: str) -> str:
    """Beginning of a UUID or hash, by which it is found again; other text as it is."""
    return text[:SHOWN_UUID] if IDENTIFIER.fullmatch(text) else text
