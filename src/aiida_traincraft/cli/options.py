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
        from aiida_traincraft.science.atoms.symbols import check_symbol

        symbol = str(value).strip()
        # Only this: with "CO", two elements may be meant.
        symbol = symbol.capitalize() if symbol.islower() else symbol
        try:
            return check_symbol(symbol)
        except ValueError as error:
            self.fail(str(error), param, ctx)


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
