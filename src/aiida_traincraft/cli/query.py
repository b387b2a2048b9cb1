"""``traincraft query``: the common questions to the database."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from aiida_traincraft.cli.options import Decorator, element, level_of_theory
from aiida_traincraft.cli.ranges import Formula, Range

if TYPE_CHECKING:
    from aiida import orm

TABLE_ROWS = 50
NARROW = 120
"""Columns of a terminal on which heads take a line for each word."""


@click.group()
def query() -> None:
    """Find structures, labels, datasets and potentials by what they are and where they come from."""


def _with_options(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command some of the options that choose, and those that say how to print."""
    options: dict[str, Decorator] = {
        'formula': click.option(
            '--formula', type=Formula(), help='Chemical formula of the cell, such as Al3Ni, in any order.'
        ),
        'elements': element,
        'system': click.option('--system', help='Name of the system.'),
        'level': level_of_theory('Level of theory: its hash, or the beginning of it, or as at the import.'),
        'energy': click.option('--energy-per-atom', type=Range(), help='Energy per atom, eV.'),
        'force': click.option('--max-force', type=Range(), help='Largest norm of a force, eV/Å.'),
        'campaign': click.option('--campaign', help='Made by this campaign (name, PK or UUID).'),
        'cycle': click.option('--cycle', type=click.IntRange(0), help='Made in this cycle of the campaign.'),
    }
    chosen = [
        *(options[name] for name in names),
        click.option('--limit', type=click.IntRange(1), help=f'Most rows; {TABLE_ROWS} of a table unless given.'),
        click.option(
            '--format', 'format_', type=click.Choice(['table', 'csv', 'json']), default='table', show_default=True
        ),
    ]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(chosen):
            command = option(command)
        return click.pass_obj(command)

    return decorate


@query.command()
@_with_options('formula', 'elements', 'system', 'campaign', 'cycle')
def structures(profile: str | None, limit: int | None, format_: str, **chosen: Any) -> None:
    """List structures."""
    from aiida_traincraft.provenance import queries

    found = queries.find_structures(**_chosen(profile, chosen))
    _print(found, queries.FRAME_COLUMNS, limit, format_)


@query.command()
@_with_options('formula', 'elements', 'system', 'level', 'energy', 'force', 'campaign', 'cycle')
def labels(profile: str | None, limit: int | None, format_: str, **chosen: Any) -> None:
    """List labels."""
    from aiida_traincraft.provenance import queries

    found = queries.find_labels(**_chosen(profile, chosen))
    _print(found, queries.LABEL_COLUMNS, limit, format_)


@query.command()
@_with_options('campaign')
def datasets(profile: str | None, limit: int | None, format_: str, **chosen: Any) -> None:
    """List datasets."""
    from aiida_traincraft.provenance import queries

    found = queries.find_datasets(**_chosen(profile, chosen))
    _print(found, queries.DATASET_COLUMNS, limit, format_)


@query.command()
@_with_options('elements', 'campaign')
def potentials(profile: str | None, limit: int | None, format_: str, **chosen: Any) -> None:
    """List potentials with their errors: a row for every time that one was scored."""
    from aiida_traincraft.provenance import queries

    found = queries.find_potentials(**_chosen(profile, chosen))
    heads = [*queries.POTENTIAL_COLUMNS, *queries.SCORE_HEADS]
    _write(heads, queries.potential_rows(found, limit), format_)


def _chosen(profile: str | None, options: dict[str, Any]) -> dict[str, Any]:
    """Load the profile; turn options into arguments of the ``find_`` functions."""
    from aiida_traincraft.cli import profile as profiles
    from aiida_traincraft.cli.naming import load_campaign, load_level

    profiles.load(profile)
    chosen = {name: value for name, value in options.items() if value not in (None, ())}
    if 'elements' in chosen:
        chosen['elements'] = list(chosen['elements'])
    if 'level' in chosen:
        chosen['level_of_theory'] = load_level(chosen.pop('level'))
    if 'campaign' in chosen:
        chosen['campaign'] = load_campaign(chosen['campaign'])
    return chosen


def _print(found: orm.QueryBuilder, columns: dict[str, str], limit: int | None, format_: str) -> None:
    from aiida_traincraft.provenance.queries import rows

    total = found.count() if format_ == 'table' else None
    shown = limit or (TABLE_ROWS if format_ == 'table' else None)
    _write(list(columns), rows(found, columns, shown), format_)
    if total is not None and shown is not None and total > shown:
        click.echo(f'... and {total - shown} more: give --limit, or --format csv')


def _write(heads: Sequence[str], rows: Iterable[Sequence[Any]], format_: str) -> None:
    """Write rows one at a time, but for a table, which must know them all."""
    if format_ == 'csv':
        writer = csv.writer(sys.stdout)
        writer.writerow(heads)
        writer.writerows([_harmless(_text(value)) for value in row] for row in rows)
    elif format_ == 'json':
        separator = '['
        for row in rows:
            record = dict(zip(heads, row, strict=True))
            click.echo(separator + json.dumps(record, default=str, ensure_ascii=False), nl=False)
            separator = ',\n'
        click.echo('[]' if separator == '[' else ']')
    else:
        _print_table(heads, rows)


def _harmless(text: Any) -> Any:
    """Quote what a spreadsheet would take for a formula: names come from foreign files."""
    if not isinstance(text, str):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}" if text.startswith(('=', '+', '-', '@', '\t', '\r')) else text
    return text


def _print_table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    from rich.markup import escape

    from aiida_traincraft.cli.layout import new_table, rounded, wide_console
    from aiida_traincraft.science.config.run import SHOWN_UUID

    console = wide_console()
    found = [list(row) for row in rows]
    cells = [[rounded(value) if isinstance(value, float) else _shown(value) for value in row] for row in found]
    numbers = {heads[i] for row in found for i, value in enumerate(row) if isinstance(value, (int, float))}
    table = new_table(heads, numbers)
    for row in cells:
        table.add_row(*map(escape, row))
    if console.width < NARROW:
        table.padding = 0
        for column, shown in zip(table.columns, zip(*cells, strict=True), strict=False):
            column.header = str(column.header).replace(' ', '\n')
            # What is copied from the screen stays in one piece.
            column.no_wrap |= all(len(text) <= SHOWN_UUID for text in shown)
    console.print(table if table.row_count else 'nothing found', highlight=False)


def _shown(value: Any) -> str:
    """Cell of a table: UUIDs and hashes by their beginning."""
    from aiida_traincraft.cli.layout import short

    return ' '.join(map(short, str(_text(value)).split(' ')))


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return ' '.join(map(str, value))
    if isinstance(value, datetime):
        return value.strftime('%Y-%m-%d %H:%M')
    return '' if value is None else value
