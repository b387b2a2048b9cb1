"""``traincraft bundle``."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_traincraft.cli.options import output_folder


@click.command()
@click.argument('potential')
@output_folder('Folder to make.', required=True)
@click.option('--licence', help='Licence of what is published, for the data card.')
@click.pass_obj
def bundle(profile: str | None, potential: str, output: Path, licence: str | None) -> None:
    """Write a potential (UUID, PK, or that of a campaign), its data, a data card and its whole lineage to a folder."""
    import logging

    from rich.console import Console
    from rich.progress import Progress

    from aiida_traincraft.cli import profile as profiles
    from aiida_traincraft.cli.naming import load_potential
    from aiida_traincraft.exchange.bundle import write_bundle
    from aiida_traincraft.provenance.lineage import training_sets

    profiles.load(profile)
    node = load_potential(potential)
    # It would print its settings and counts across the progress bar.
    logging.getLogger('aiida.export').setLevel(logging.WARNING)
    total = sum(item.count(split) for item in training_sets(node) for split in ('train', 'test', 'e0'))
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task('dataset', total=total)
        write_bundle(node, output, licence, lambda stage, done: bar.update(task, description=stage, advance=done))
    click.echo(f'{node}: bundle in {output}')
