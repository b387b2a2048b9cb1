"""Figures of reports and papers: drawn once, as SVG in a page or as a file of any format."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

Columns = Mapping[str, Sequence[Any]]
Draw = Callable[[Any], None]

COLOURS = ('#4477aa', '#ee6677', '#228833', '#ccbb44', '#66ccee', '#aa3377')
"""Paul Tol's bright scheme: told apart by colour-blind readers, on light and dark ground."""
INK = '#010203'
"""Stands for the colour of the text around a figure."""


def to_svg(name: str, draw: Draw, width: float = 4.6, height: float = 3.2) -> str:
    """SVG of a figure, to be put into a page: its text and axes take the colour of the text around it.

    Parameters
    ----------
    name
        Of the figure, unlike that of any other in the page: ids inside the SVG follow from it.
    draw
        Draws into matplotlib's axes.
    width, height
        Size (inch).
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context(_style(INK) | {'svg.fonttype': 'none', 'svg.hashsalt': name}):
        _figure(draw, width, height).savefig(buffer, format='svg', transparent=True, metadata={'Date': None})
    text = buffer.getvalue()
    # Groups have the same ids in every figure, and nothing refers to them.
    return re.sub(r'<g id="[^"]*"', '<g', text[text.index('<svg') :]).replace(INK, 'currentColor')


def to_file(draw: Draw, path: Path, width: float = 3.4, height: float = 2.6) -> None:
    """Write a figure of the width of a column (inch); the suffix decides the format (pdf, svg, png)."""
    import matplotlib as mpl

    with mpl.rc_context(_style('black') | {'pdf.fonttype': 42}):
        _figure(draw, width, height).savefig(path, dpi=300)


def _style(ink: str) -> dict[str, Any]:
    keys = ('text.color', 'axes.edgecolor', 'axes.labelcolor', 'xtick.color', 'ytick.color')
    sizes = {'font.size': 9.0, 'legend.fontsize': 8.0, 'axes.grid': True, 'grid.alpha': 0.25, 'legend.frameon': False}
    return dict.fromkeys(keys, ink) | sizes | {'grid.color': ink, 'font.family': 'sans-serif'}


def _figure(draw: Draw, width: float, height: float) -> Any:
    from cycler import cycler
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_prop_cycle(cycler(color=COLOURS))
    draw(axes)
    return figure


def learning(columns: Columns) -> Draw:
    """Test errors over the labels spent."""

    def draw(axes: Any) -> None:
        for key, marker in (('forces RMSE (meV/Å)', 'o'), ('energy RMSE (meV/atom)', 's')):
            axes.plot(columns['labels'], columns[key], marker=marker, label=key)
        axes.set_yscale('log')
        axes.set_xlabel('labels asked for')
        axes.set_ylabel('error on the sealed test set')
        axes.legend()

    return draw


def parity(columns: Columns, name: str, unit: str) -> Draw:
    """Predictions over labels, a colour for each system."""

    def draw(axes: Any) -> None:
        systems = list(dict.fromkeys(columns['system']))
        for system in systems:
            rows = [row for row, found in enumerate(columns['system']) if found == system]
            x, y = ([columns[key][row] for row in rows] for key in ('label', 'predicted'))
            axes.plot(x, y, '.', markersize=3, alpha=0.6, label=system, rasterized=len(columns['label']) > 5000)
        ends = [min(columns['label']), max(columns['label'])]
        axes.plot(ends, ends, linewidth=0.8, color=axes.xaxis.label.get_color())
        axes.set_xlabel(f'label: {name} ({unit})')
        axes.set_ylabel(f'potential: {name} ({unit})')
        if 1 < len(systems) <= len(COLOURS):
            axes.legend(markerscale=3)

    return draw


def reliability(columns: Columns, measure: str, unit: str, accepted: float | None = None) -> Draw:
    """Observed force error, and the bound of a calibration, over the uncertainty."""

    def draw(axes: Any) -> None:
        for key, marker in (('observed', 'o'), ('predicted', '--'), ('bound', ':')):
            axes.plot(columns['uncertainty'], [1000 * value for value in columns[key]], marker, label=key)
        if accepted is not None:
            axes.axhline(1000 * accepted, linewidth=0.8, color=COLOURS[5], label='accepted')
        axes.set_xscale('log')
        axes.set_yscale('log')
        axes.set_xlabel(f'{measure}{f" ({unit})" if unit else ""}')
        axes.set_ylabel('force error (meV/Å)')
        axes.legend()

    return draw


def curve(columns: Columns, reference: Columns | None = None) -> Draw:
    """Columns over the first, those of a reference dashed."""

    def draw(axes: Any) -> None:
        x, *others = columns
        for index, name in enumerate(others):
            colour = COLOURS[index % len(COLOURS)]
            axes.plot(columns[x], columns[name], color=colour, label=name if len(others) > 1 else 'potential')
            if reference is not None and name in reference:
                axes.plot(reference[x], reference[name], '--', color=colour, label='reference' if not index else None)
        axes.set_xlabel(x)
        if len(others) == 1:
            axes.set_ylabel(others[0])
        if len(others) <= len(COLOURS):
            axes.legend()

    return draw


def is_drawable(columns: Columns) -> bool:
    """Whether a table is a curve: at least four rows and two columns of numbers, the first in order."""
    values = list(columns.values())
    if len(values) < 2 or len(values[0]) < 4:
        return False
    if not all(isinstance(value, int | float) or value is None for column in values for value in column):
        return False
    first = values[0]
    return None not in first and all(low <= high for low, high in pairwise(first))
