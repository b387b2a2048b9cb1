"""``traincraft diff``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from aiida_traincraft.provenance.diff import Difference


@click.command()
@click.argument('a')
@click.argument('b')
@click.option('--format', 'format_', type=click.Choice(['text', 'json']), default='text', show_default=True)
@click.pass_obj
def diff(profile: str | None, a: str, b: str, format_: str) -> None:
    """Show in what potential B differs from A: labels, settings, seeds, codes, and the errors.

    Each is a UUID, a PK, or a campaign whose potential is meant.
    """
    from aiida_traincraft.cli import profile as profiles
    from aiida_traincraft.cli.naming import load_potential
    from aiida_traincraft.provenance.diff import compare

    profiles.load(profile)
    found = compare(load_potential(a), load_potential(b))
    if format_ == 'json':
        click.echo(json.dumps(asdict(found), indent=2, ensure_ascii=False))
    else:
        click.echo('\n'.join(_lines(found)))


def _lines(found: Difference) -> Iterator[str]:
    from aiida_traincraft.provenance.diff import HOW_TO_SCORE

    reweighted = f', {found.reweighted} of them with another weight' if found.reweighted else ''
    yield f'training labels: {found.shared} in both{reweighted}'
    for name, labels in zip('AB', found.only, strict=True):
        systems = ', '.join(f'{count} of {system or "no system"}' for system, count in labels.systems.items())
        yield f'  only {name}: {labels.count}' + (f' ({systems})' if labels.count else '')
        yield from (f'    {uuid}' for uuid in labels.first)
        if labels.count > len(labels.first):
            yield f'    ... and {labels.count - len(labels.first)} more'
    yield f'levels of theory: {found.levels_of_theory or "the same"}'
    for title, table in (('settings', found.settings), ('seeds', found.seeds), ('codes and versions', found.codes)):
        yield f'{title}: {"A -> B" if table else "the same"}'
        yield from (f'  {key}: {_value(pair[0])} -> {_value(pair[1])}' for key, pair in table.items())
    if found.scored_on is None:
        yield f'errors: not scored on the same test set; {HOW_TO_SCORE}'
        return
    yield f'RMSE on {found.scored_on}: A -> B'
    yield from (f'  {name}: {_change(*pair)}' for name, pair in found.errors.items())


def _value(value: Any) -> str:
    return 'absent' if value is None else json.dumps(value, ensure_ascii=False)


def _change(before: float | None, after: float | None) -> str:
    text = ' -> '.join('-' if value is None else f'{value:.4g}' for value in (before, after))
    return text if not before or after is None else f'{text} ({100 * (after / before - 1):+.1f} %)'
