"""``traincraft train``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiida_traincraft.cli.retry import wait

if TYPE_CHECKING:
    from aiida import orm

    from aiida_traincraft.data.dataset import DatasetData


@click.command()
@click.argument('campaign', type=click.Path(path_type=Path))
@click.option('--dataset', required=True, help='Dataset (UUID or PK), or the campaign whose last one is meant.')
@click.option('--test-set', help='Dataset to score on (its split "test"), or the campaign whose test set is meant.')
@click.option('--in-process', is_flag=True, help='Run without the daemon, for debugging.')
@click.option('--detach', is_flag=True, help='Submit and return.')
@click.pass_obj
def train(
    profile: str | None, campaign: Path, dataset: str, test_set: str | None, in_process: bool, detach: bool
) -> None:
    """Train what [training] of a file (no other section is needed) says on a stored dataset, and score it."""
    from aiida import orm
    from aiida.engine import run_get_node, submit

    from aiida_traincraft.cli import profile as profiles
    from aiida_traincraft.launch.train_builder import train_builder_from_config

    profiles.load(profile)
    data, sealed = _datasets(dataset, test_set)
    builder = train_builder_from_config(campaign, data, sealed)
    if in_process:
        _, node = run_get_node(builder)
        sys.exit(_report(node))
    profiles.ensure_daemon()
    node = submit(builder)
    click.echo(f'training on a {data} is submitted: PK {node.pk}, UUID {node.uuid}')
    if detach:
        profiles.await_pickup(node)
        click.echo(f'follow it with: verdi process status {node.pk}')
    elif wait(node.pk, profiles.RESTART):
        sys.exit(_report(orm.load_node(node.pk)))


def _datasets(dataset: str, test_set: str | None) -> tuple[DatasetData, DatasetData | None]:
    """Dataset and test set that the options name."""
    from aiida_traincraft.cli.naming import find_sealed, load_dataset, load_test_set

    data = _named(load_dataset, '--dataset', dataset)
    return data, find_sealed(dataset) if test_set is None else _named(load_test_set, '--test-set', test_set)


def _named(load: Callable[[str], DatasetData], option: str, name: str) -> DatasetData:
    try:
        return load(name)
    except click.ClickException as error:
        raise click.ClickException(f'{option}: {error.message}') from error


def _report(node: orm.ProcessNode) -> int:
    from rich.console import Console

    from aiida_traincraft.calculations.base import is_poor
    from aiida_traincraft.cli.tables import errors_table

    outputs = node.outputs
    if not node.is_finished_ok and not is_poor(node):
        click.echo(f'the training failed: {node.exit_message or node.process_state.value}', err=True)
        return 1
    if 'errors' in outputs:
        Console(markup=False).print(errors_table(outputs.errors.get_dict()))
    metrics = outputs.potential.metrics
    if left_out := metrics.get('n_left_out'):
        click.echo(f'trained on {metrics["n_structures"]} of {metrics["n_structures"] + left_out} structures')
    click.echo(f'{outputs.potential}: UUID {outputs.potential.uuid}')
    if not node.is_finished_ok:
        click.echo(node.exit_message, err=True)
        return 1
    return 0
