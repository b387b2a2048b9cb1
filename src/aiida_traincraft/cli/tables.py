"""What the command line prints about campaigns."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from aiida_traincraft.provenance.campaign import Progress


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


def learning_table(summary: dict[str, Any]) -> Table:
    """One row per cycle."""
    table = Table(
        title=f'campaign {summary["name"]}',
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        caption_justify='left',
    )
    columns = ('cycle', 'labels', 'failed', 'E', 'F', 'seen', 'unsure', 'chosen', 'max γ', 'codes', 'all')
    for name in columns:
        table.add_column(name, justify='right', no_wrap=True)
    table.caption = (
        'E, F: RMSE on the sealed test set (meV/atom, meV/Å); labels: asked for when the cycle trained, test set '
        'included; seen, unsure, chosen: candidates of the exploration; codes, all: seconds'
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
            '-' if cycle['max_gamma'] is None else f'{cycle["max_gamma"]:.2f}',
            f'{cycle["seconds_in_codes"]:.0f}',
            f'{cycle["seconds"]:.0f}',
        )
    return table
