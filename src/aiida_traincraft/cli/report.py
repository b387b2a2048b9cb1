"""``traincraft report``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument('campaign', required=False)
@click.option('--output', type=click.Path(path_type=Path, dir_okay=False), help='By default <name>.html.')
@click.pass_obj
def report(profile: str | None, campaign: str | None, output: Path | None) -> None:
    """Write the report of a campaign (name, PK or UUID; the newest by default), as it stands, as one HTML file."""
    from aiida_traincraft.cli import profile as profiles
    from aiida_traincraft.provenance.queries import load_campaign_node
    from aiida_traincraft.report.page import write_page

    profiles.load(profile)
    node = load_campaign_node(campaign)
    path = output or Path(f'{node.label or node.pk}.html')
    path.parent.mkdir(parents=True, exist_ok=True)
    write_page(node, path)
    click.echo(f'written to {path}')
