"""Options that several commands have, spelled and read alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Element(click.ParamType):
    """Symbol of an element; in lower case it is taken as meant."""

    name = 'ELEMENT'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read the symbol."""
        from ase.data import chemical_symbols

        symbol = str(value).strip()
        spelled = symbol.capitalize()
        # The first one is ASE's placeholder. "CO" is no spelling of Co: two elements may be meant.
        if spelled not in chemical_symbols[1:]:
            self.fail(f'{value!r} is no symbol of an element, such as Ni', param, ctx)
        if symbol not in (spelled, spelled.lower()):
            self.fail(f'{value!r} is no symbol of an element; {spelled!r} is one', param, ctx)
        return spelled


element = click.option(
    '--element', 'elements', multiple=True, type=Element(), help='Element that is present, such as Ni; repeatable.'
)


def level_of_theory(text: str, required: bool = False) -> Decorator:
    """Give a command the option that names a level of theory."""
    return click.option('--level-of-theory', '--level', 'level', required=required, help=text)


def output_file(text: str, required: bool = False) -> Decorator:
    """Give a command the option that names the file that it writes."""
    kind = click.Path(path_type=Path, dir_okay=False)
    return click.option('-o', '--output', required=required, type=kind, help=text)


def output_folder(text: str, required: bool = False) -> Decorator:
    """Give a command the option that names the folder that it writes to."""
    kind = click.Path(path_type=Path, file_okay=False)
    return click.option('-o', '--output', required=required, type=kind, help=text)


def with_profile(command: click.Command) -> click.Command:
    """Let a command and those below it take the profile too, so that it may stand behind their name."""
    command.params.append(
        click.Option(
            ['-p', '--profile'],
            expose_value=False,
            callback=_take_profile,
            help='AiiDA profile; the default profile without it.',
        )
    )
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            with_profile(inner)
    return command


def _take_profile(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    if ctx.obj is not None and ctx.obj != value:
        raise click.BadParameter(f'two profiles are given, {ctx.obj!r} and {value!r}', ctx, param)
    ctx.obj = value
