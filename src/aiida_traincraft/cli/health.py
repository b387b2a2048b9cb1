"""``traincraft health``."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_traincraft.cli.naming import find_sealed, load_dataset, load_test_set
from aiida_traincraft.cli.options import output_folder


@click.command()
@click.argument('dataset')
@click.option('--test-set', help='Dataset whose split "test" is the sealed set; that of the campaign, if you name one.')
@output_folder('Folder of the files; by default health-UUID.')
@click.option(
    '--tolerance',
    type=click.FloatRange(min=0, min_open=True),
    help='Largest relative distance of near duplicates; 5e-4 by default.',
)
@click.option(
    '--max-described',
    type=click.IntRange(min=2),
    default=5000,
    show_default=True,
    help='Frames of a split that are compared; of more, a random sample.',
)
@click.option('--seed', default=0, show_default=True, help='Seed of the sample.')
@click.pass_obj
def health(
    profile: str | None,
    dataset: str,
    test_set: str | None,
    output: Path | None,
    tolerance: float | None,
    max_described: int,
    seed: int,
) -> None:
    """Show the state of DATASET (UUID, PK, or a campaign whose last dataset is meant): text, JSON and PNG.

    Distributions with units, outliers by the UUID of their label, repetition, and coverage of the sealed test set.
    """
    from rich.console import Console
    from rich.progress import track

    from aiida_traincraft.cli import profile as profiles
    from aiida_traincraft.cli.layout import wide_console
    from aiida_traincraft.report.health import health_text, write_health
    from aiida_traincraft.science.datasets.health import dataset_health
    from aiida_traincraft.science.datasets.near_duplicates import DEFAULT_TOLERANCE

    profiles.load(profile)
    training = load_dataset(dataset)
    sealed = (find_sealed(dataset) or training) if test_set is None else load_test_set(test_set)
    counts = {'train': training.count('train'), 'test': sealed.count('test'), 'e0': training.count('e0')}
    items = (
        (structure.provenance['label'], split, structure)
        for node, split in ((training, 'train'), (sealed, 'test'))
        for structure in node.iterate(split)
    )
    console = wide_console()
    found = dataset_health(
        track(items, 'reading labels', counts['train'] + counts['test'], console=Console(stderr=True), transient=True),
        counts,
        training.e0,
        DEFAULT_TOLERANCE if tolerance is None else tolerance,
        max_described,
        seed,
    )
    title = f'dataset {training.uuid}'
    for part in health_text(found, title):
        console.print(part, highlight=False, markup=False, soft_wrap=isinstance(part, str))
    folder = output or Path(f'health-{training.uuid[:8]}')
    write_health(found, title, folder)
    console.print(f'written to {folder}', highlight=False, soft_wrap=True)
