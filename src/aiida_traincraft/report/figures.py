"""Figures of reports and papers: drawn once, as SVG in a page or as a file of any format."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

Columns = Mapping[str, Sequence[Any]]
Draw = Callable[[Any], None]

COLOURS = ('#4477aa', '#ee6677', '#228833', '#ccbb44', '#66ccee', '#aa3377')
"""Paul Tol's bright scheme: told apart by colour-blind readers, on light and dark ground."""
INK = '#010203'
"""Stands for the colour of the text around a figure."""
COLUMN = 3.4
"""Width of a column of a journal (inch)."""


@dataclass(frozen=True)
class Panels:
    """Axes side by side."""

    draws: tuple[Draw, ...]
    widths: tuple[float, ...]
    """Relative to each other."""
    share_y: bool = False


Drawing = Draw | Panels


def to_svg(name: str, drawing: Drawing, width: float = 4.6, height: float = 3.2) -> str:
    """SVG of a figure, to be put into a page: its text and axes take the colour of the text around it.

    Parameters
    ----------
    name
        Of the figure, unlike that of any other in the page: ids inside the SVG follow from it.
    drawing
        Draws into matplotlib's axes.
    width, height
        Size (inch).
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    # Larger than in print: a phone shrinks the figure.
    with mpl.rc_context(_style(INK, 10.5) | {'svg.fonttype': 'none', 'svg.hashsalt': name}):
        _figure(drawing, width, height).savefig(buffer, format='svg', transparent=True, metadata={'Date': None})
    text = buffer.getvalue()
    # Groups have the same ids in every figure, and nothing refers to them.
    return re.sub(r'<g id="[^"]*"', '<g', text[text.index('<svg') :]).replace(INK, 'currentColor')


def to_file(drawing: Drawing, path: Path, height: float = 2.6) -> None:
    """Write a figure as wide as a column, or as two if its panels are figures of their own (height in inch).

    The suffix decides the format.
    """
    import matplotlib as mpl

    wide = isinstance(drawing, Panels) and len(drawing.draws) > 1 and not drawing.share_y
    with mpl.rc_context(_style('black', 9.0) | {'pdf.fonttype': 42, 'svg.hashsalt': path.stem}):
        metadata = {'CreationDate' if path.suffix == '.pdf' else 'Date': None} if path.suffix != '.png' else None
        _figure(drawing, COLUMN * (2 if wide else 1), height).savefig(path, dpi=300, metadata=metadata)


def _style(ink: str, size: float) -> dict[Any, Any]:
    # Not dict[str, Any]: matplotlib's types list the keys, from some version on.
    keys = ('text.color', 'axes.edgecolor', 'axes.labelcolor', 'xtick.color', 'ytick.color')
    sizes = {'font.size': size, 'legend.fontsize': size - 1, 'axes.grid': True, 'grid.alpha': 0.25}
    return dict.fromkeys(keys, ink) | sizes | {'grid.color': ink, 'legend.frameon': False, 'font.family': 'sans-serif'}


def _figure(drawing: Drawing, width: float, height: float) -> Any:
    from cycler import cycler
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = drawing if isinstance(drawing, Panels) else Panels((drawing,), (1.0,))
    figure = Figure(figsize=(width, height), layout='constrained')
    FigureCanvasAgg(figure)
    columns = len(panels.draws)
    grid = figure.subplots(1, columns, squeeze=False, sharey=panels.share_y, width_ratios=panels.widths)
    for axes, draw in zip(grid[0], panels.draws, strict=True):
        axes.set_prop_cycle(cycler(color=COLOURS))
        draw(axes)
    return figure


def _logarithmic(axes: Any, which: str) -> None:
    """Logarithmic axis with plain numbers: few errors span more than two decades, where powers of ten say little."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.set(**{f'{which}scale': 'log'})
    low, high = getattr(axes, f'get_{which}lim')()
    axis = getattr(axes, f'{which}axis')
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 20 * low else (1, 1.5, 2, 3, 4, 6, 8)))
    axis.set_major_formatter(StrMethodFormatter('{x:g}'))
    axis.set_minor_formatter(NullFormatter())


def learning(columns: Columns) -> Draw:
    """Test errors over the labels spent."""

    def draw(axes: Any) -> None:
        for key, marker in (('forces RMSE (meV/Å)', 'o'), ('energy RMSE (meV/atom)', 's')):
            axes.plot(columns['labels'], columns[key], marker=marker, label=key)
        _logarithmic(axes, 'y')
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
            axes.plot(x, y, '.', markersize=4, label=system, rasterized=len(columns['label']) > 5000)
        ends = [min(columns['label']), max(columns['label'])]
        # Below the points, which would not be seen where the potential is good.
        axes.plot(ends, ends, linewidth=0.8, color=axes.xaxis.label.get_color(), zorder=1)
        axes.set_xlabel(f'label: {name} ({unit})')
        axes.set_ylabel(f'potential: {name} ({unit})')
        axes.locator_params(axis='x', nbins=5)
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
        _logarithmic(axes, 'x')
        _logarithmic(axes, 'y')
        axes.set_xlabel(f'{measure}{f" ({unit})" if unit else ""}')
        axes.set_ylabel('force error (meV/Å)')
        axes.legend()

    return draw


def reliability_of(facts: Mapping[str, Any]) -> Draw:
    """Reliability of a calibration, from the attributes of its node."""
    name, unit = {'gamma': ('γ', ''), 'spread': ('spread of the committee', 'eV/Å')}[facts['measure']]
    return reliability(facts['reliability'], name, unit, facts['max_force_error'])


def curve(columns: Columns, reference: Columns | None = None) -> Draw:
    """Columns over the first, those of a reference dashed."""

    def draw(axes: Any) -> None:
        x, *others = columns
        for index, name in enumerate(others):
            colour = COLOURS[index % len(COLOURS)]
            axes.plot(columns[x], columns[name], color=colour, label=name if len(others) > 1 else 'potential')
            if reference is not None and name in reference:
                dashed = {'color': COLOURS[1] if len(others) == 1 else colour, 'linestyle': '--'}
                axes.plot(reference[x], reference[name], label='reference' if not index else None, **dashed)
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
