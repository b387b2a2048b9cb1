"""Figures of what validators found, by the type of the validator; curves of others are drawn as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiida_traincraft.report.figures import COLOURS, Columns, Draw, Drawing, Panels, curve, is_drawable, parity
from aiida_traincraft.science.validation.phonons import IMAGINARY

Curves = Mapping[str, Columns]

REFERENCE = '_reference'
LONGEST_TABLE = 30
HIGHEST = 5.0
"""Least energy (eV) at the top of a figure of pairs of atoms, whose walls are a thousand times higher."""
OWN = (COLOURS[0], '-', 1.6)
"""Colour, style and width of a line of the potential."""
THEIRS = (COLOURS[1], '--', 1.0)
"""The same of a reference: above the other, which shows through."""
ABOVE: dict[str, Any] = {'loc': 'lower center', 'ncols': 3, 'bbox_to_anchor': (0.5, 1.0), 'columnspacing': 1.0}
"""Place of a legend where curves may be anywhere."""
SUBSCRIPTS = str.maketrans('G0123456789', 'Γ₀₁₂₃₄₅₆₇₈₉')


@dataclass(frozen=True)
class Figure:
    """A figure, and the tables that it draws."""

    name: str
    drawing: Drawing
    tables: dict[str, Columns]


def draw_findings(kind: str, curves: Curves) -> tuple[list[Figure], dict[str, Columns]]:
    """Figures of the curves of a validator, and what is better read as a table.

    Parameters
    ----------
    kind
        Type of the validator.
    curves
        Tables by name; those of a reference end with ``_reference``.
    """
    drawn = DRAWN.get(kind, _plain)(curves)
    # The report draws errors of energies and forces on the test set by itself.
    used = {name for figure in drawn for name in figure.tables} | ({'energy', 'forces'} if kind == 'parity' else set())
    rest = {
        name: columns
        for name, columns in curves.items()
        if name not in used and len(next(iter(columns.values()), ())) <= LONGEST_TABLE
    }
    return drawn, rest


def _with_reference(curves: Curves, *names: str) -> dict[str, Columns]:
    found = [key for name in names for key in (name, f'{name}{REFERENCE}')]
    return {name: curves[name] for name in found if name in curves}


def _plain(curves: Curves) -> list[Figure]:
    return [
        Figure(name, curve(columns, curves.get(f'{name}{REFERENCE}')), _with_reference(curves, name))
        for name, columns in curves.items()
        if not name.endswith(REFERENCE) and is_drawable(columns)
    ]


def _eos(curves: Curves) -> list[Figure]:
    """Computed energies as points, fits as lines."""

    def draw(axes: Any) -> None:
        x, y = curves['energies']
        for suffix, (colour, style, width), label in (('', OWN, 'potential'), (REFERENCE, THEIRS, 'reference')):
            if (points := curves.get(f'energies{suffix}')) is not None:
                axes.plot(points[x], points[y], 'o', color=colour, markersize=4 * width, label=label)
            if (fit := curves.get(f'fit{suffix}')) is not None:
                axes.plot(fit[x], fit[y], style, color=colour, linewidth=width)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.legend()

    return [Figure('scan', draw, _with_reference(curves, 'energies', 'fit'))] if 'energies' in curves else []


def _phonons(curves: Curves) -> list[Figure]:
    """Bands, and the density of states beside them."""
    if 'bands' not in curves:
        return []
    drawing = Panels((bands(curves), density(curves)), (3.5, 1.0), share_y=True)
    return [Figure('dispersion', drawing, _with_reference(curves, 'bands', 'density'))]


def bands(curves: Curves) -> Draw:
    """Frequencies along a path, a reference dashed; the path may jump where it lists two points at one place."""

    def draw(axes: Any) -> None:
        values = [value for name, column in curves['bands'].items() if 'branch' in name for value in column]
        for suffix, (colour, style, width), label in (('', OWN, 'potential'), (REFERENCE, THEIRS, 'reference')):
            if (columns := curves.get(f'bands{suffix}')) is None:
                continue
            _, x, *branches = columns
            path = columns[x]
            jumps = [index for index in range(1, len(path)) if path[index] == path[index - 1]]
            for start, stop in zip([0, *jumps], [*jumps, len(path)], strict=True):
                for branch in branches:
                    line = axes.plot(
                        path[start:stop], columns[branch][start:stop], style, color=colour, linewidth=width
                    )
            line[0].set_label(label)
        points = special_points(curves['bands'])
        axes.set_xticks(list(points), list(points.values()), fontsize='small')
        axes.axhline(0, color=axes.xaxis.label.get_color(), linewidth=0.8)
        axes.set_xlim(min(points), max(points))
        # From zero if nothing is imaginary, and without the margins of the density of states.
        axes.set_ylim(1.1 * min(values) if min(values) < IMAGINARY else 0, 1.05 * max(values))
        axes.set_ylabel('frequency (THz)')
        if f'bands{REFERENCE}' in curves:
            axes.legend(**ABOVE)

    return draw


def special_points(columns: Columns) -> dict[float, str]:
    """Names of the special points of a path by their place; one below the other where the path jumps."""
    names, path, *_ = columns.values()
    found: dict[float, str] = {}
    for name, place in zip(names, path, strict=True):
        if name and found.get(place) != (shown := name.translate(SUBSCRIPTS)):
            found[place] = f'{found[place]}\n{shown}' if place in found else shown
    return found


def density(curves: Curves) -> Draw:
    """Density of states along the horizontal axis, a reference dashed."""

    def draw(axes: Any) -> None:
        for suffix, (colour, style, width) in (('', OWN), (REFERENCE, THEIRS)):
            if (columns := curves.get(f'density{suffix}')) is not None:
                frequencies, states = columns.values()
                axes.plot(states, frequencies, style, color=colour, linewidth=width)
        axes.set_xlabel('DOS\n(1/THz)')
        axes.set_xlim(left=0)
        axes.axhline(0, color=axes.xaxis.label.get_color(), linewidth=0.8)

    return draw


def _spectra(curves: Curves) -> list[Figure]:
    if 'harmonic' not in curves:
        return []
    return [Figure('spectrum', spectrum(curves), _with_reference(curves, 'spectrum', 'harmonic'))]


def spectrum(curves: Curves) -> Draw:
    """Spectrum of trajectories as a line; harmonic modes as sticks on an axis of their own."""

    def draw(axes: Any) -> None:
        x, y = list(curves['harmonic'])[:2]
        sticks = axes
        if 'spectrum' in curves:
            _, *parts = curves['spectrum']
            # Of several parts the last is their sum.
            axes.plot(curves['spectrum'][x], curves['spectrum'][parts[-1]], label='dynamics')
            axes.set_ylabel(parts[-1])
            axes.set_ylim(bottom=0)
            sticks = axes.twinx()
            sticks.grid(visible=False)
        highest = 0.0
        for suffix, style, colour, label in (
            ('', '-', COLOURS[1], 'harmonic'),
            (REFERENCE, '--', COLOURS[2], 'reference'),
        ):
            if (columns := curves.get(f'harmonic{suffix}')) is None:
                continue
            sticks.vlines(columns[x], 0, columns[y], color=colour, linestyles=style, linewidth=1.5, label=label)
            highest = max(highest, *columns[x])
        sticks.set_ylim(bottom=0)
        sticks.set_ylabel(y)
        axes.set_xlim(0, 1.1 * highest)
        axes.set_xlabel(x)
        handles = [entry for part in dict.fromkeys((axes, sticks)) for entry in part.get_legend_handles_labels()[0]]
        axes.legend(handles=handles, **ABOVE)

    return draw


def _dimer(curves: Curves) -> list[Figure]:
    if 'energy' not in curves:
        return []
    pair, x, y = curves['energy']
    draw = _grouped(curves['energy'], pair, x, y, curves.get(f'energy{REFERENCE}'))

    def cut(axes: Any) -> None:
        draw(axes)
        lowest = min(curves['energy'][y])
        axes.set_ylim(1.2 * min(lowest, -0.1), max(HIGHEST, -2 * lowest))

    return [Figure('energy', cut, _with_reference(curves, 'energy'))]


def _md_stability(curves: Curves) -> list[Figure]:
    """Temperature and total energy of all runs."""
    runs = {name: columns for name, columns in curves.items() if len(next(iter(columns.values()), ())) > 1}
    if not runs:
        return []
    time, ensemble, *quantities = next(iter(runs.values()))
    table: dict[str, list[Any]] = {'run': [], **{name: [] for name in (time, ensemble, *quantities)}}
    for name, columns in runs.items():
        table['run'] += [name.replace('_', ' ')] * len(columns[time])
        for key, values in columns.items():
            table[key] += values
    free = [when for when, kind in zip(table[time], table[ensemble], strict=True) if kind == 'NVE']

    def figure(quantity: str) -> Draw:
        draw = _grouped(table, 'run', time, quantity)

        def marked(axes: Any) -> None:
            draw(axes)
            if free:
                ink = axes.xaxis.label.get_color()
                axes.axvline(min(free), color=ink, linewidth=0.8, linestyle=':', label='thermostat off')
                axes.legend()

        return marked

    def shown(quantity: str) -> dict[str, Columns]:
        return {run: {key: columns[key] for key in (time, ensemble, quantity)} for run, columns in runs.items()}

    return [Figure(name.partition(' (')[0].replace(' ', '_'), figure(name), shown(name)) for name in quantities]


def _grouped(columns: Columns, by: str, x: str, y: str, reference: Columns | None = None) -> Draw:
    """A line for each group of rows."""

    def draw(axes: Any) -> None:
        for table, style in ((columns, '-'), (reference, '--')):
            if not table:
                continue
            for index, group in enumerate(dict.fromkeys(table[by])):
                rows = [row for row, found in enumerate(table[by]) if found == group]
                values = ([table[key][row] for row in rows] for key in (x, y))
                label = group if style == '-' else f'{group}, reference'
                axes.plot(*values, style, color=COLOURS[index % len(COLOURS)], label=label, linewidth=1.2)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        if len(axes.get_lines()) <= len(COLOURS):
            axes.legend()

    return draw


def _parity(curves: Curves) -> list[Figure]:
    found = []
    for name in ('stress', 'dipole', 'polarizability'):
        if name not in curves:
            continue
        (head, labels), (_, predictions) = curves[name].items()
        columns = {'label': labels, 'predicted': predictions, 'system': [''] * len(labels)}
        unit = head.partition('(')[2].rstrip(')')
        found.append(Figure(name, parity(columns, name, unit), {name: curves[name]}))
    return found


DRAWN: dict[str, Callable[[Curves], list[Figure]]] = {
    'eos': _eos,
    'phonons': _phonons,
    'infrared': _spectra,
    'raman': _spectra,
    'dimer': _dimer,
    'md_stability': _md_stability,
    'parity': _parity,
}
