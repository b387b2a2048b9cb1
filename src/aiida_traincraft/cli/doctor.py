"""``traincraft doctor``: check computers and codes."""

from __future__ import annotations

import sys
from pathlib import Path

import click

WIDTH = 8


@click.command()
@click.argument('campaign', required=False, type=click.Path(path_type=Path))
@click.option(
    '--timeout',
    default=600,
    show_default=True,
    type=click.IntRange(min=1),
    help='Seconds after which a job is broken off, time in a queue included.',
)
@click.pass_obj
def doctor(profile: str | None, campaign: Path | None, timeout: int) -> None:
    """Check computers and codes with tiny real jobs: those of CAMPAIGN (a TOML file), or the default ones."""
    from aiida_traincraft.cli import profile as profiles
    from aiida_traincraft.launch.doctor import examine
    from aiida_traincraft.science.config.loader import load_campaign

    config = load_campaign(campaign) if campaign is not None else None
    click.echo(f'profile {profiles.load(profile)}')
    wrong = False
    for finding in examine(config, timeout):
        click.echo(f'{finding.state:{WIDTH}}{finding.what}: {finding.text}')
        wrong |= finding.state == 'wrong'
    sys.exit(1 if wrong else 0)
