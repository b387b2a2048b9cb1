"""Pictures of structures: one row each, seen along x, y and z."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from aiida_traincraft.science.geometry.measures import measure
from aiida_traincraft.science.structure import Structure

# Rotations of plot_atoms that turn x, y or z towards the eye, and what is then to the right and upwards.
VIEWS = {
    'x': ('-90x,-90y,0z', 'along x: y right, z up'),
    'y': ('-90x,0y,0z', 'along y: x right, z up'),
    'z': ('0x,0y,0z', 'along z: x right, y up'),
}
FOG = 0.55
"""Part of white in the colour of the farthest atom."""
RADIUS = 0.75
"""Drawn radius of an atom, relative to its covalent radius."""
MOST_DRAWN = 4000
"""Atoms beyond which a picture shows only those nearest to the middle."""
SIDE = 2.2
"""Edge of a thumbnail (inch)."""
LONGEST_NAME = 28
"""Letters of a name beyond which it is set smaller."""
GREY = '#555555'


@dataclass(frozen=True)
class Row:
    """One row of a contact sheet."""

    name: str
    """What the structure is called."""
    structure: Structure
    """What is drawn."""
    n_variants: int = 1
    """How many structures of this name there are, of which this is the first."""


def draw_contact_sheet(rows: Sequence[Row], path: Path) -> None:
    """Draw structures as PNG: one row each, three views along x, y and z, with name, formula and cell.

    Parameters
    ----------
    rows
        At least one.
    path
        File to write; its folder exists.
    """
    # A figure of its own needs no display and leaves pyplot's global state alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5 * SIDE, SIDE * len(rows) + 0.5), layout='constrained')
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), 4, squeeze=False, gridspec_kw={'width_ratios': [1.35, 1, 1, 1]})
    for number, row in enumerate(rows):
        _label(grid[number][0], row)
        for axes, view in zip(grid[number][1:], VIEWS, strict=True):
            draw_view(axes, row.structure.atoms, view)
            if number == 0:
                axes.set_title(VIEWS[view][1], fontsize=9, color=GREY)
    figure.savefig(path, dpi=110)


def draw_view(axes: Any, atoms: Atoms, view: str) -> None:
    """Draw atoms and cell into axes, seen along x, y or z from infinitely far; far atoms are paler."""
    from ase.data.colors import jmol_colors
    from ase.visualize.plot import plot_atoms

    shown = _drawable(atoms)
    depth = -shown.positions[:, 'xyz'.index(view)] * (-1 if view == 'y' else 1)
    far = (depth - depth.min()) / max(np.ptp(depth), 1.0) * FOG
    colors = jmol_colors[shown.numbers] * (1 - far[:, None]) + far[:, None]
    plot_atoms(
        shown, axes, rotation=VIEWS[view][0], radii=RADIUS, colors=colors, show_unit_cell=2 if shown.cell.rank else 0
    )
    for patch in axes.patches:
        patch.set_linewidth(0.4)
    # All boxes of a sheet are squares, whatever the shape of the cell.
    (_, width), (_, height) = axes.get_xlim(), axes.get_ylim()
    half = max(width, height) / 2
    axes.set_xlim(width / 2 - half, width / 2 + half)
    axes.set_ylim(height / 2 - half, height / 2 + half)
    axes.set_axis_off()


def _drawable(atoms: Atoms) -> Atoms:
    """Copy without constraints, which would be drawn as crosses, and of at most ``MOST_DRAWN`` atoms."""
    shown = atoms.copy()
    shown.set_constraint()
    if len(shown) > MOST_DRAWN:
        middle = shown.positions.mean(axis=0)
        nearest = np.argsort(np.linalg.norm(shown.positions - middle, axis=1))[:MOST_DRAWN]
        shown = shown[np.sort(nearest)]
    return shown


def _label(axes: Any, row: Row) -> None:
    figures = measure(row.structure)
    lines = [figures.formula, f'{figures.n_atoms} atom{"s" if figures.n_atoms > 1 else ""}']
    if any(figures.lengths):
        angles = ' '.join(f'{angle:.0f}°' for angle in row.structure.atoms.cell.angles())
        lines += [f'{figures.cell_text} Å', angles]
    if figures.density is not None:
        lines.append(f'{figures.density:.2f} g/cm³')
    if row.n_variants > 1:
        lines.append(f'first of {row.n_variants}')
    axes.set_axis_off()
    size = 11 * min(1.0, LONGEST_NAME / len(row.name))
    axes.text(0, 0.96, row.name, fontsize=size, weight='bold', va='top', transform=axes.transAxes)
    axes.text(0, 0.78, '\n'.join(lines), fontsize=9, va='top', color=GREY, transform=axes.transAxes, linespacing=1.4)
