"""``traincraft report``."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_traincraft.cli.options import output_file


@click.command()
@click.argument('campaign', required=False)
@output_file('File; by default <name>.html.')
@click.pass_obj
def report(profile: str | None, campaign: str | None, output: Path | None) -> None:
    """Write the report of a campaign (name, PK or UUID; the newest by default), as it stands, as one HTML file."""
    from aiida_traincraft.cli import profile as profiles
    from aiida_traincraft.cli.naming import load_campaign
    from aiida_traincraft.report.page import write_page

    profiles.load(profile)
    node = load_campaign(campaign)
    path = output or Path(f'{node.label or node.pk}.html')
    path.parent.mkdir(parents=True, exist_ok=True)
    write_page(node, path)
    click.echo(f'written to {path}')
