"""``traincraft export``: datasets as files for trainers."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_traincraft.cli.naming import load_dataset
from aiida_traincraft.cli.options import output_file

SUFFIXES = {'extxyz': 'extxyz', 'pckl.gzip': 'pckl.gzip', 'hdf5': 'h5'}


@click.group()
def export() -> None:
    """Write what the database holds to files."""


@export.command('dataset')
@click.argument('name', metavar='DATASET')
@click.option('--format', 'format_', type=click.Choice(list(SUFFIXES)), default='extxyz', show_default=True)
@output_file('File to make; without it dataset-<beginning of the UUID>.<suffix> here.')
@click.option(
    '--split',
    'splits',
    multiple=True,
    type=click.Choice(['train', 'test', 'e0']),
    help='Split to write; repeatable. Without it all for extxyz, train for the others.',
)
@click.pass_obj
def export_dataset(profile: str | None, name: str, format_: str, output: Path | None, splits: tuple[str, ...]) -> None:
    """Write a dataset (UUID, PK or campaign) as extended XYZ, as pacemaker's table, or as MACE's HDF5 file."""
    from rich.console import Console
    from rich.progress import Progress

    from aiida_traincraft.cli import profile as profiles
    from aiida_traincraft.exchange import export as exporting

    profiles.load(profile)
    node = load_dataset(name)
    path = output or Path(f'dataset-{node.uuid[:8]}.{SUFFIXES[format_]}')
    path.parent.mkdir(parents=True, exist_ok=True)
    with Progress(console=Console(stderr=True)) as bar:
        chosen = splits or exporting.DEFAULT_SPLITS[format_]
        task = bar.add_task('writing', total=sum(node.count(split) for split in set(chosen)))
        count = exporting.export_dataset(node, path, format_, chosen, lambda done: bar.advance(task, done))
    click.echo(f'{count} structures ({", ".join(chosen)}) of a {node} are in {path}')
