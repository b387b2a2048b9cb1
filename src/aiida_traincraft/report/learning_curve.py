"""Test error against labels spent."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def plot_learning_curve(summary: dict[str, Any], path: Path) -> None:
    """Draw the test errors of every cycle (meV/Å and meV/atom, logarithmic) over the labels spent.

    Parameters
    ----------
    summary
        As ``summary.json``.
    path
        Where the PNG goes.
    """
    # A figure of its own needs no display and leaves pyplot's global state alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    cycles = [cycle for cycle in summary['cycles'] if cycle['errors']]
    figure = Figure(figsize=(5.5, 4.0), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    labels = [cycle['labels']['total'] for cycle in cycles]
    for key, unit, marker in (('forces', 'meV/Å', 'o'), ('energy', 'meV/atom', 's')):
        values = [1000 * cycle['errors'][key]['rmse'] for cycle in cycles]
        axes.plot(labels, values, marker=marker, label=f'{key} ({unit})')
    axes.set_yscale('log')
    axes.set_xlabel('labels asked for')
    axes.set_ylabel('RMSE on the sealed test set')
    axes.set_title(f'{summary["name"]}: {len(cycles)} cycles')
    axes.legend()
    axes.grid(alpha=0.3, which='both')
    figure.savefig(path, dpi=150)
