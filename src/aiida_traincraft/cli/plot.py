"""``traincraft plot``."""

from __future__ import annotations

from pathlib import Path

import click

FIGURES = ('parity', 'learning', 'reliability', 'spectra', 'phonons')


@click.command()
@click.argument('figure', type=click.Choice(FIGURES))
@click.argument('campaign', required=False)
@click.option(
    '--output', required=True, type=click.Path(path_type=Path, dir_okay=False), help='File: .pdf, .svg or .png.'
)
@click.pass_obj
def plot(profile: str | None, figure: str, campaign: str | None, output: Path) -> None:
    """Draw a figure for a paper, of a campaign (name, PK or UUID; the newest by default).

    spectra and phonons are what validators found; for these the PK or UUID of what validate-potential ran will do too.
    """
    from aiida_traincraft.cli import profile as profiles
    from aiida_traincraft.report.publication import write_figure

    profiles.load(profile)
    write_figure(figure, campaign, output)
    click.echo(f'written to {output}')
