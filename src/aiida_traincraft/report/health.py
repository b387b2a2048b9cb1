"""The health of a dataset as text, JSON and picture."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aiida_traincraft.science.datasets.distribution import Distribution, Outlier
from aiida_traincraft.science.datasets.health import COVERED_PERCENTILE, Coverage, Health

MOST_NAMES = 10
MOST_OUTLIERS = 5
TEXT_WIDTH = 120


def write_health(health: Health, title: str, folder: Path) -> None:
    """Write ``health.txt``, ``health.json`` and ``health.png`` into a folder, which is made if it is not there."""
    from rich.console import Console

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / 'health.txt').open('w', encoding='utf-8') as handle:
        console = Console(file=handle, width=TEXT_WIDTH)
        for part in health_text(health, title):
            console.print(part, highlight=False, markup=False)
    (folder / 'health.json').write_text(
        json.dumps({'dataset': title, **asdict(health)}, indent=2, allow_nan=False), encoding='utf-8'
    )
    plot_health(health, title, folder / 'health.png')


def health_text(health: Health, title: str) -> Iterator[Any]:
    """Tables and lines for a rich console."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    yield title
    yield 'structures: ' + ', '.join(f'{count} {split}' for split, count in health.counts.items())
    for name in ('elements', 'formulas', 'systems'):
        yield f'{name}: {_most_common(getattr(health, name))}'
    if health.distributions:
        heading = 'distributions over the training and the test frames'
        table = Table('quantity', title=heading, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        for name in ('n', 'min', '25 %', 'median', '75 %', 'max', 'mean', 'std'):
            table.add_column(name, justify='right', no_wrap=True)
        for found in health.distributions:
            numbers = (found.minimum, found.quartile_1, found.median, found.quartile_3, found.maximum)
            cells = [f'{number:.3g}' for number in (*numbers, found.mean, found.std)]
            table.add_row(f'{found.quantity} ({found.unit})' if found.unit else found.quantity, str(found.n), *cells)
        yield table
    yield from _outlier_lines(health.outliers)
    yield _redundancy_line(health)
    if health.coverage is None:
        yield 'coverage of the sealed set: there are no training frames or no test frames to compare'
    else:
        yield from _coverage_lines(health.coverage, _training_frames(health), health.counts)
    compared = ((health.redundancy, 'train'), (health.coverage, 'test'))
    if any(found is not None and found.n_described < health.counts[split] for found, split in compared):
        yield (
            'samples were compared (--max-described): "traincraft dataset check" compares all training with all test '
            'frames of a dataset'
        )


def _outlier_lines(outliers: Sequence[Outlier]) -> Iterator[str]:
    """The furthest of each element and composition, so that many of one do not hide one of another."""
    yield f'outliers: {len(outliers) or "none"}'
    groups: dict[tuple[str, str], list[Outlier]] = {}
    for outlier in outliers:
        groups.setdefault((outlier.quantity, outlier.group), []).append(outlier)
    for (quantity, group), found in list(groups.items())[:MOST_NAMES]:
        yield f'  {quantity} of {group}, median {found[0].median:.4g} {found[0].unit}: {len(found)}'
        for outlier in found[:MOST_OUTLIERS]:
            yield f'    label {outlier.label}: {outlier.value:.4g} {outlier.unit}, score {outlier.score:.1f}'
    if len(groups) > MOST_NAMES:
        yield f'  ... and {len(groups) - MOST_NAMES} more elements and compositions, see health.json'


def _most_common(counts: Mapping[str, int]) -> str:
    shown = [f'{name} {count}' for name, count in list(counts.items())[:MOST_NAMES]]
    rest = len(counts) - len(shown)
    return ', '.join([*shown, *([f'and {rest} more'] if rest else [])]) or 'none'


def _redundancy_line(health: Health) -> str:
    found = health.redundancy
    if found is None:
        return 'redundancy: there are no training frames'
    return (
        f'redundancy: {_share(found.n_near, found.n_described)} of {_training_frames(health)} '
        f'have a near duplicate among them (distance up to {found.tolerance:g})'
    )


def _training_frames(health: Health) -> str:
    return _of(0 if health.redundancy is None else health.redundancy.n_described, health.counts, 'train')


def _coverage_lines(found: Coverage, training: str, counts: Mapping[str, int]) -> Iterator[str]:
    frames = _of(found.n_described, counts, 'test')
    yield 'coverage of the sealed set:'
    if found.threshold is not None and found.n_beyond is not None:
        yield (
            f'  {_share(found.n_beyond, found.n_described)} of {frames} are farther from {training} '
            f'than {found.threshold:.2g}'
        )
        yield f'  ({COVERED_PERCENTILE:g} % of these training frames have another one of them within that distance)'
        for label, distance in found.farthest if found.n_beyond else ():
            yield f'  farthest: label {label}, ' + ('of new elements' if distance is None else f'{distance:.2g}')
    else:
        yield '  there are no two training frames of the same elements to compare with'
    yield f'  {_share(found.n_near, found.n_described)} of {frames} have a near duplicate among {training}'
    for what, names in (('elements', found.new_elements), ('compositions', found.new_compositions)):
        yield f'  {what} that training lacks: {", ".join(names) or "none"}'


def _share(part: int, whole: int) -> str:
    return f'{part} ({100 * part / whole:.1f} %)'


def _of(described: int, counts: Mapping[str, int], split: str) -> str:
    """How many frames were looked at, and whether that is all of them."""
    name = {'train': 'training', 'test': 'test'}[split]
    if described < counts[split]:
        return f'a sample of {described} of {counts[split]} {name} frames'
    return f'the {described} {name} frames'


def plot_health(health: Health, title: str, path: Path) -> None:
    """Draw the distributions, and how near training and test frames lie to each other."""
    # A figure of its own needs no display and leaves pyplot's global state alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = health.distributions
    figure = Figure(figsize=(11, 6.5), layout='constrained')
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 3).flatten()
    _histograms(panels[0], 'energy', 'structures', [one for one in found if one.quantity.endswith('energy')])
    _histograms(panels[1], 'norm of the force', 'atoms', [one for one in found if one.quantity.startswith('force on ')])
    for axes, name in zip(panels[2:5], ('volume', 'density', 'atoms'), strict=True):
        _histograms(axes, name, 'structures', [one for one in found if one.quantity == name])
    panels[1].set_yscale('log')
    _distances(panels[5], health.coverage)
    figure.suptitle(title)
    figure.savefig(path, dpi=150)


def _histograms(axes: Any, name: str, what: str, found: list[Distribution]) -> None:
    """Outlines of histograms of one unit; a legend where there is more than one."""
    if not found:
        _say(axes, f'{name}: none')
        return
    for one in found:
        axes.stairs(one.counts, one.edges, label=one.quantity, fill=len(found) == 1, alpha=0.8)
    label = found[0].quantity if len(found) == 1 else name
    axes.set_xlabel(f'{label} ({found[0].unit})' if found[0].unit else f'{label} per structure')
    axes.set_ylabel(what)
    if len(found) > 1:
        axes.legend(fontsize='small')


def _distances(axes: Any, coverage: Coverage | None) -> None:
    """Cumulative shares of the distances to the nearest training frame."""
    drawn = [one for one in (coverage.train, coverage.test) if one is not None] if coverage is not None else []
    if coverage is None or not drawn:
        _say(axes, 'coverage: nothing to compare')
        return
    for one in drawn:
        shares = [sum(one.counts[:end]) / one.n for end in range(len(one.edges))]
        axes.step(one.edges, shares, where='post', label=one.quantity)
    if coverage.threshold is not None:
        axes.axvline(coverage.threshold, color='grey', linestyle=':', label=f'{COVERED_PERCENTILE:g} % of training')
    axes.set_xscale('log')
    axes.set_xlabel('relative descriptor distance')
    axes.set_ylabel('share of structures')
    axes.legend(fontsize='small')


def _say(axes: Any, text: str) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha='center', va='center', transform=axes.transAxes)
