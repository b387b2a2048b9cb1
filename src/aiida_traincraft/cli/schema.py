"""``traincraft schema``: what a campaign file may hold, for editors and other programs."""

from __future__ import annotations

import json
from pathlib import Path

import click

from aiida_traincraft.cli.options import output_file

DIALECT = 'https://json-schema.org/draft/2020-12/schema'


@click.command()
@click.option('--kind', help='Of one plugin: its kind, such as builder.')
@click.option('--name', help='Of one plugin: its name, such as crystal.')
@output_file('File; else to the terminal.')
@click.argument('files', nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def schema(kind: str | None, name: str | None, output: Path | None, files: tuple[Path, ...]) -> None:
    """Write the JSON Schema of campaign files, or of one plugin; FILES with further plugins are loaded first."""
    from aiida_traincraft.science import registry
    from aiida_traincraft.science.config.campaign import CampaignConfig

    if (kind is None) != (name is None):
        raise click.ClickException('--kind and --name go together')
    registry.load_plugins(files)
    if kind is not None and kind not in registry.KINDS:
        raise click.ClickException(f'there is no kind {kind!r}: {", ".join(registry.KINDS)}')
    model = CampaignConfig if kind is None or name is None else registry.get(kind, name).config
    text = json.dumps({'$schema': DIALECT, **model.model_json_schema()}, indent=2, ensure_ascii=False)
    if output is None:
        click.echo(text)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text + '\n', encoding='utf-8')
