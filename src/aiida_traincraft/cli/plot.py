"""``traincraft plot``."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_traincraft.cli.options import output_file

FIGURES = ('parity', 'learning', 'reliability', 'spectra', 'phonons')


@click.command()
@click.argument('figure', type=click.Choice(FIGURES))
@click.argument('campaign', required=False)
@output_file('File: .pdf, .svg or .png.', required=True)
@click.pass_obj
def plot(profile: str | None, figure: str, campaign: str | None, output: Path) -> None:
    """Draw a figure for a paper, of a campaign (name, PK or UUID; the newest by default).

    spectra and phonons are what validators found; for these the PK or UUID of what validate-potential ran will do too.
    """
    from aiida_traincraft.cli import profile as profiles
    from aiida_traincraft.cli.naming import load_campaign, load_named
    from aiida_traincraft.report.publication import write_figure

    profiles.load(profile)
    write_figure(figure, load_campaign(None) if campaign is None else load_named(campaign), output)
    click.echo(f'written to {output}')
