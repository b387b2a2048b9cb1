"""``traincraft status``, ``why`` and ``plugins``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from aiida import orm

MAX_FAILED = 20
SHOWN_OUTPUTS = 3


@click.command()
@click.argument('campaign', required=False)
@click.pass_obj
def status(profile: str | None, campaign: str | None) -> None:
    """Show all campaigns, or one (name, PK or UUID) with its learning table and failed labels."""
    from rich.console import Console

    from aiida_traincraft.cli import profile as profiles
    from aiida_traincraft.cli.naming import load_campaign
    from aiida_traincraft.cli.tables import campaigns_table, learning_table, print_verdict, progress_line
    from aiida_traincraft.provenance.campaign import progress, summarise
    from aiida_traincraft.provenance.queries import find_campaigns

    profiles.load(profile)
    console = Console(markup=False)
    if campaign is not None:
        node = load_campaign(campaign)
        where = progress(node)
        console.print(progress_line(where), highlight=False)
        _print_ailments(console, [node])
        summary = summarise(node)
        console.print(learning_table(summary))
        print_verdict(console, summary['verdict'])
        _print_ledger(console, node, where.labels)
        return
    campaigns = find_campaigns()
    table = campaigns_table((node.pk, node.label, progress(node)) for node in campaigns)
    console.print(table if table.row_count else 'no campaign yet; start one with: traincraft run FILE')
    _print_ailments(console, campaigns)


def _print_ailments(console: Any, campaigns: Sequence[orm.WorkChainNode]) -> None:
    """Say why campaigns that have not ended do not go on."""
    from aiida_traincraft.cli.profile import ailment
    from aiida_traincraft.provenance.campaign import held_up

    running = [node for node in campaigns if not node.is_terminated]
    why = ailment() if running else None
    for node in running:
        for reason in [why] if why else held_up(node):
            console.print(f'{reason}; go on with: traincraft resume {node.pk}', highlight=False, soft_wrap=True)


def _print_ledger(console: Any, campaign: Any, counts: dict[str, int]) -> None:
    """Counts by status, retries, and what has no label to this day."""
    from aiida_traincraft.cli.tables import labels_text
    from aiida_traincraft.provenance.retries import failed_rows, retries
    from aiida_traincraft.science.errors import shortened

    console.print(f'labels: {labels_text(counts)}, {counts["total"]} in all', highlight=False)
    for retry in retries(campaign):
        ledger = retry.outputs.ledger if 'ledger' in retry.outputs else None
        told = str(ledger) if ledger is not None else str(retry.process_state.value)
        console.print(f'retry <{retry.pk}>: {told}', highlight=False)
    rows = failed_rows(campaign)
    for row in rows[:MAX_FAILED]:
        tries = f' after {row.tries} tries' if row.tries > 1 else ''
        detail = f': {row.detail}' if row.detail else ''
        line = f'{row.status}{tries}: structure {row.structure[:8]}, {shortened(f"{row.reason}{detail}")}'
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if len(rows) > MAX_FAILED:
        console.print(f'... and {len(rows) - MAX_FAILED} more', highlight=False)


@click.command()
@click.argument('node')
@click.option('--depth', default=3, show_default=True, help='Processes to go up in the tree.')
@click.pass_obj
def why(profile: str | None, node: str, depth: int) -> None:
    """Show what shaped NODE: config, seed, codes, label processes, and the tree above it.

    It is a UUID, a PK, or a campaign whose potential is meant.
    """
    from aiida import orm
    from rich.tree import Tree

    from aiida_traincraft.cli import profile as profiles
    from aiida_traincraft.cli.layout import wide_console
    from aiida_traincraft.cli.naming import load_named, load_potential
    from aiida_traincraft.provenance.lineage import Step, lineage, origins
    from aiida_traincraft.provenance.queries import is_campaign

    profiles.load(profile)
    target = load_named(node)
    if is_campaign(target):
        target = load_potential(target.uuid)
    if isinstance(target, orm.ProcessNode):
        raise click.ClickException(f'{node} is a process: ask for the lineage of {_outputs_text(target)}')
    if not isinstance(target, orm.Data):
        raise click.ClickException(f'{node} is no data: ask for the lineage of a structure, label or potential')

    def grow(step: Step, tree: Any) -> Any:
        for child in step.children:
            grow(child, tree.add(child.text))
        return tree

    console = wide_console()
    step = lineage(target, depth)
    console.print(step.text, highlight=False, markup=False)
    for name, lines in origins(target).items():
        console.print(f'  {name}:', highlight=False)
        for line in lines:
            console.print(f'    {line}', highlight=False, markup=False)
    console.print(grow(step, Tree('the tree above it:')), highlight=False, markup=False)


def _outputs_text(process: Any) -> str:
    """Some outputs of a process; there may be 10^5."""
    from aiida import orm

    query = orm.QueryBuilder().append(orm.ProcessNode, filters={'id': process.pk}, tag='process', project=[])
    query.append(orm.Data, with_incoming='process', edge_project='label', project='uuid', tag='output')
    query.order_by({'output': {'id': 'desc'}}).limit(SHOWN_OUTPUTS)
    names = [f'{label} ({uuid})' for uuid, label in query.all()]
    return (
        f'one of its outputs, such as {", ".join(names)}' if names else 'what it will have made: it has no output yet'
    )


@click.command()
@click.argument('files', nargs=-1, type=click.Path(exists=True, dir_okay=False))
@click.option('--keys', help='Show the keys of the plugins of this name, with default, unit and meaning.')
def plugins(files: tuple[str, ...], keys: str | None) -> None:
    """List what is registered by kind, one line each; FILES with further plugins are loaded first."""
    from pathlib import Path

    from rich.console import Console

    from aiida_traincraft.cli.layout import new_table
    from aiida_traincraft.science import registry

    registry.load_plugins([Path(file) for file in files])
    if keys is not None:
        found = [plugin for plugin in registry.plugins() if plugin.name == keys]
        if not found:
            raise click.ClickException(f'no plugin is called {keys!r}: "traincraft plugins" lists all')
        table = new_table(('kind', 'key', 'default', 'what it is'))
        for plugin in found:
            for name, field in plugin.config.model_fields.items():
                default = 'required' if field.is_required() else repr(field.get_default(call_default_factory=True))
                table.add_row(plugin.kind, name, default, field.description or '')
        Console(markup=False).print(table)
        return
    table = new_table(('kind', 'name', 'what it does', 'package'))
    for plugin in registry.plugins():
        package = '' if plugin.is_builtin else plugin.function.__module__.partition('.')[0]
        table.add_row(plugin.kind, plugin.name, plugin.summary, package)
    Console(markup=False).print(table)
