"""What the command line prints about campaigns."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aiida_traincraft.provenance.campaign import Progress
from aiida_traincraft.provenance.verdict import statements
from aiida_traincraft.science.scoring.constant import is_worse

PIPE_WIDTH = 300


def wide_console() -> Console:
    """Console that keeps lines whole where they go to a file or pipe, which has no width."""
    console = Console()
    console.width = console.width if console.is_terminal else PIPE_WIDTH
    return console


def progress_line(progress: Progress) -> str:
    """One line: cycle, stage, jobs, labels, last test error."""
    parts = [
        f'cycle {progress.cycle}',
        progress.stage,
        f'jobs {progress.jobs_done} done, {progress.jobs_running} running',
        f'labels {labels_text(progress.labels)}',
    ]
    if progress.errors:
        parts.append(f'test RMSE {errors_text(progress.errors)}')
    if progress.message:
        parts.append(progress.message)
    return ' | '.join(parts)


def labels_text(counts: dict[str, int]) -> str:
    """How many labels there are, how they came, and how many structures got none."""
    parts = [f'{counts["ok"]} ok'] + [f'{counts[name]} {name}' for name in ('recovered', 'reused') if counts[name]]
    return ', '.join(
        [*parts, f'{counts["failed"]} failed', *([f'{counts["skipped"]} skipped'] if counts['skipped'] else [])]
    )


def errors_text(errors: dict[str, Any]) -> str:
    """Energy and force RMSE in meV."""
    return f'{1000 * errors["energy"]["rmse"]:.2f} meV/atom, {1000 * errors["forces"]["rmse"]:.2f} meV/Å'


SHOWN_IN = {'energy': ('meV/atom', 1e3), 'forces': ('meV/Å', 1e3), 'stress': ('meV/Å³', 1e3)}
SHOWN_IN |= {'dipole': ('e·Å', 1.0), 'polarizability': ('Å³', 1.0)}


def errors_table(errors: dict[str, Any]) -> Table:
    """Errors on a dataset, one row per property; "labels" is what their mean would score, in red where it is better."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ('', 'RMSE', 'MAE', 'largest', 'labels', 'unit'):
        table.add_column(name, justify='left' if name in ('', 'unit') else 'right', no_wrap=True)
    for name, statistics in errors['overall'].items():
        if statistics['n']:
            unit, factor = SHOWN_IN[name]
            figures = (f'{factor * statistics[key]:.4g}' for key in ('rmse', 'mae', 'max', 'std'))
            table.add_row(name, *figures, unit, style='red' if is_worse(statistics) else None)
    return table


def learning_table(summary: dict[str, Any]) -> Table:
    """One row per cycle."""
    table = Table(
        title=f'campaign {summary["name"]}',
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        caption_justify='left',
    )
    highest = 'max σ' if summary['cycles'] and summary['cycles'][0]['measure'] == 'spread' else 'max γ'
    columns = ('cycle', 'labels', 'failed', 'E', 'F', 'seen', 'unsure', 'chosen', highest, 'codes', 'all')
    for name in columns:
        table.add_column(name, justify='right', no_wrap=True)
    table.caption = (
        'E, F: RMSE on the sealed test set (meV/atom, meV/Å); labels: asked for when the cycle trained, test set '
        'included; seen, unsure, chosen: candidates of the exploration; max γ, max σ: largest extrapolation grade, '
        'largest force spread of a committee (eV/Å); codes, all: seconds'
    )
    for cycle in summary['cycles']:
        errors = cycle['errors']
        figures = [f'{1000 * errors[key]["rmse"]:.2f}' if errors else '-' for key in ('energy', 'forces')]
        table.add_row(
            str(cycle['cycle']),
            str(cycle['labels']['total']),
            str(cycle['labels']['failed']),
            *figures,
            str(cycle['candidates']),
            str(cycle['uncertain']),
            str(cycle['selected']),
            '-' if cycle['max_uncertainty'] is None else f'{cycle["max_uncertainty"]:.2f}',
            f'{cycle["seconds_in_codes"]:.0f}',
            f'{cycle["seconds"]:.0f}',
        )
    return table


def print_verdict(console: Console, verdict: dict[str, Any]) -> None:
    """What is to be said of the potential, a line each, in red if a constant is better anywhere."""
    style = 'red' if verdict['red'] else None
    for line in statements(verdict):
        console.print(line, style=style, highlight=False, soft_wrap=True)


def validation_table(rows: list[dict[str, Any]]) -> Table:
    """One row per number of every validator: value, difference from the reference, limit."""
    table = Table(title='validation', box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ('validator', 'number', 'value', 'reference', 'unit', 'limit', ''):
        table.add_column(name, justify='right' if name in ('value', 'reference') else 'left', no_wrap=True)
    for row in rows:
        if row['broken']:
            table.add_row(row['validator'], '', '', '', '', '', f'[red]broke[/red]: {escape(row["broken"])}')
        limits = {check['quantity']: check for check in row['checks']}
        for name, unit in row['units'].items():
            if name not in row['values'] and name not in limits:
                continue
            value, reference = row['values'].get(name), row['values'].get(f'{name}_reference')
            kept = [limits[key] for key in (name, f'{name}_error') if key in limits]
            told = ' '.join(f'{"≤" if c["kind"] == "at_most" else "≥"} {c["limit"]:g}' for c in kept)
            verdict = '' if not kept else 'ok' if all(c['passed'] for c in kept) else '[red]failed[/red]'
            table.add_row(row['validator'], name, _figure(value), _figure(reference), unit, told, verdict)
    return table


def _figure(value: float | None) -> str:
    return '-' if value is None else f'{value:.5g}'
