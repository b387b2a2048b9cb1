"""``traincraft new``: a campaign file to start from."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import click


def templates() -> dict[str, str]:
    """Text of every template, by name."""
    folder = files('aiida_traincraft') / 'templates'
    found = {item.name.removesuffix('.toml'): item.read_text(encoding='utf-8') for item in folder.iterdir()}
    return dict(sorted(found.items()))


@click.command()
@click.argument('path', required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option('--template', help='What the campaign is about; --list shows the names.')
@click.option('--list', 'list_all', is_flag=True, help='List the templates.')
@click.option('--force', is_flag=True, help='Overwrite PATH.')
def new(path: Path | None, template: str | None, list_all: bool, force: bool) -> None:
    """Write a commented campaign file to PATH (by default, the template's name in this folder)."""
    known = templates()
    if list_all:
        for name, text in known.items():
            click.echo(f'{name:18} {text.splitlines()[0].removeprefix("# ")}')
        return
    if template not in known:
        what = 'name a template with --template' if template is None else f'there is no template {template!r}'
        raise click.ClickException(f'{what}: {", ".join(known)}')
    path = path or Path(f'{template}.toml')
    try:
        with path.open('w' if force else 'x', encoding='utf-8') as handle:
            handle.write(known[template])
    except FileExistsError:
        raise click.ClickException(f'{path} exists already: --force overwrites it') from None
    click.echo(f'{path} is written; look at its structures with: traincraft build {path}')
