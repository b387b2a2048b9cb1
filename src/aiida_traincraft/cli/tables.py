"""What the command line prints about campaigns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aiida_traincraft.cli.layout import PIPE_WIDTH, new_table, rounded
from aiida_traincraft.provenance.campaign import Progress
from aiida_traincraft.provenance.verdict import statements
from aiida_traincraft.science.scoring.constant import is_worse

TERMINAL = 80
LONGEST_NAME = 30
"""Of a campaign that keeps to one line of 80 columns."""


def progress_line(progress: Progress) -> str:
    """One line: cycle, stage, jobs, labels, last test error, and how long it takes at the pace of the cycles before."""
    labels, budget = progress.labels, progress.max_labels
    parts = [
        f'cycle {progress.cycle}' + (f' of {progress.max_cycles}' if progress.max_cycles is not None else ''),
        progress.stage,
        f'jobs {progress.jobs_done} done, {progress.jobs_running} running',
        f'labels {labels_text(labels)}' + (f', {labels["total"]} of {budget} spent' if budget is not None else ''),
    ]
    if progress.errors:
        parts.append(f'test RMSE {errors_text(progress.errors)}')
    if progress.message:
        parts.append(progress.message)
    if progress.seconds_left is not None:
        parts.append(f'about {_duration(progress.seconds_left)} more if all cycles are needed')
    return ' | '.join(parts)


def _duration(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f'{minutes} min' if minutes < 120 else f'{minutes / 60:.1f} h'


def labels_text(counts: dict[str, int]) -> str:
    """How many labels there are, how they came, and how many structures got none."""
    parts = [f'{counts["ok"]} ok'] + [f'{counts[name]} {name}' for name in ('recovered', 'reused') if counts[name]]
    return ', '.join(
        [*parts, f'{counts["failed"]} failed', *([f'{counts["skipped"]} skipped'] if counts['skipped'] else [])]
    )


def errors_text(errors: dict[str, Any]) -> str:
    """Energy and force RMSE in meV."""
    return f'{_milli(errors["energy"]["rmse"])} meV/atom, {_milli(errors["forces"]["rmse"])} meV/Å'


def _milli(value: float) -> str:
    """Energy or force in meV, with two decimals where these are enough."""
    return f'{1000 * value:.2f}' if 0.1 <= 1000 * value < 100 else rounded(1000 * value)


SHOWN_IN = {'energy': ('meV/atom', 1e3), 'forces': ('meV/Å', 1e3), 'stress': ('meV/Å³', 1e3)}
SHOWN_IN |= {'dipole': ('e·Å', 1.0), 'polarizability': ('Å³', 1.0)}


def errors_table(errors: dict[str, Any]) -> Table:
    """Errors on a dataset, one row per property; "labels" is what their mean would score, in red where it is better."""
    numbers = ('RMSE', 'MAE', 'largest', 'labels')
    table = new_table(('', *numbers, 'unit'), numbers)
    for name, statistics in errors['overall'].items():
        if statistics['n']:
            unit, factor = SHOWN_IN[name]
            figures = (rounded(factor * statistics[key]) for key in ('rmse', 'mae', 'max', 'std'))
            table.add_row(name, *figures, unit, style='red' if is_worse(statistics) else None)
    return table


def learning_table(summary: dict[str, Any]) -> Table:
    """One row per cycle."""
    highest = 'max σ' if summary['cycles'] and summary['cycles'][0]['measure'] == 'spread' else 'max γ'
    columns = ('cycle', 'labels', 'failed', 'E', 'F', 'seen', 'unsure', 'chosen', highest, 'codes', 'all')
    caption = (
        'E, F: RMSE on the sealed test set (meV/atom, meV/Å); labels: asked for when the cycle trained, test set '
        'included; seen, unsure, chosen: candidates of the exploration; max γ, max σ: largest extrapolation grade, '
        'largest force spread of a committee (eV/Å); codes, all: seconds'
    )
    table = new_table(columns, columns, title=f'campaign {summary["name"]}', caption=caption)
    for cycle in summary['cycles']:
        errors = cycle['errors']
        figures = [_milli(errors[key]['rmse']) if errors else '-' for key in ('energy', 'forces')]
        table.add_row(
            str(cycle['cycle']),
            str(cycle['labels']['total']),
            str(cycle['labels']['failed']),
            *figures,
            str(cycle['candidates']),
            str(cycle['uncertain']),
            str(cycle['selected']),
            rounded(cycle['max_uncertainty']),
            f'{cycle["seconds_in_codes"]:.0f}',
            f'{cycle["seconds"]:.0f}',
        )
    console = Console(width=PIPE_WIDTH)
    if console.measure(table).maximum > TERMINAL:
        table.padding = 0
    return table


def print_verdict(console: Console, verdict: dict[str, Any]) -> None:
    """What is to be said of the potential, a line each, in red if a constant is better anywhere."""
    style = 'red' if verdict['red'] else None
    for line in statements(verdict):
        console.print(line, style=style, highlight=False, soft_wrap=True)


def validation_table(rows: list[dict[str, Any]]) -> Table:
    """One row per number of every validator: value, difference from the reference, limit."""
    heads = ('validator', 'number', 'value', 'reference', 'unit', 'limit', '')
    table = new_table(heads, ('value', 'reference'), title='validation')
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
            table.add_row(row['validator'], name, rounded(value), rounded(reference), unit, told, verdict)
    return table


def campaigns_table(campaigns: Iterable[tuple[int, str, Progress]]) -> Table:
    """One row per campaign: PK, name and where it stands."""
    found = list(campaigns)
    numbers = ('PK', 'cycle', 'labels', 'E', 'F')
    caption = 'labels: there now; E, F: RMSE on the sealed test set (meV/atom, meV/Å)'
    table = new_table(('PK', 'name', 'cycle', 'labels', 'E', 'F', 'state'), numbers, caption=caption)
    table.columns[1].width = min(LONGEST_NAME, max((len(name) for _, name, _ in found), default=0))
    for pk, name, where in found:
        state = [f'{where.state}: {where.message}' if where.message else f'{where.state}, {where.stage}']
        state += [f'{where.labels[status]} labels {status}' for status in ('failed', 'skipped') if where.labels[status]]
        table.add_row(
            str(pk),
            name,
            f'{where.cycle}' if where.max_cycles is None else f'{where.cycle}/{where.max_cycles}',
            str(where.labels['labelled']),
            *([_milli(where.errors[key]['rmse']) for key in ('energy', 'forces')] if where.errors else ('-', '-')),
            '; '.join(state),
        )
    return table
