"""The ``traincraft`` command: one file per command group."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from aiida_traincraft import __version__
from aiida_traincraft.cli.build import build, validate
from aiida_traincraft.cli.bundle import bundle
from aiida_traincraft.cli.dataset import dataset
from aiida_traincraft.cli.diff import diff
from aiida_traincraft.cli.doctor import doctor
from aiida_traincraft.cli.export import export
from aiida_traincraft.cli.health import health
from aiida_traincraft.cli.importing import import_
from aiida_traincraft.cli.inspect import plugins, status, why
from aiida_traincraft.cli.new import new
from aiida_traincraft.cli.options import with_profile
from aiida_traincraft.cli.plot import plot
from aiida_traincraft.cli.pseudos import pseudos
from aiida_traincraft.cli.query import query
from aiida_traincraft.cli.report import report
from aiida_traincraft.cli.retry import retry_failed
from aiida_traincraft.cli.run import resume, run, watch
from aiida_traincraft.cli.schema import schema
from aiida_traincraft.cli.setup import setup
from aiida_traincraft.cli.train import train
from aiida_traincraft.cli.validate_potential import validate_potential


class _Group(click.Group):
    """Turn what a user can mend into one screen; anything else keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (ValueError, OSError) as error:
            raise click.ClickException(str(error)) from error
        except Exception as error:
            if locked := _locked(error):
                raise click.ClickException(locked) from error
            # Where aiida was not imported, none of its exceptions can have been raised.
            exceptions = sys.modules.get('aiida.common.exceptions')
            if exceptions is None or not isinstance(error, exceptions.AiidaException):
                raise
            raise click.ClickException(str(error)) from error


def _locked(error: Exception) -> str:
    """Words for a database that another program has been writing to for too long; empty for other errors."""
    errors = sys.modules.get('sqlalchemy.exc')
    if errors is None or not isinstance(error, errors.OperationalError) or 'database is locked' not in str(error.orig):
        return ''
    from aiida_traincraft.data.locks import LONGEST_WAIT

    return (
        f'another program has kept the SQLite database to itself for {LONGEST_WAIT} s; end it if it hangs, and give '
        'the same command again'
    )


@click.group(cls=_Group, context_settings={'help_option_names': ['-h', '--help']})
@click.version_option(__version__)
@click.option('-p', '--profile', help='AiiDA profile; the default profile without it.')
@click.pass_context
def main(ctx: click.Context, profile: str | None) -> None:
    """Train machine-learned interatomic potentials by active learning, with the provenance of everything."""
    ctx.obj = profile
    if shutil.which('verdi') is None:
        # Called by path, without its environment activated: the daemon looks for "verdi" beside this interpreter.
        os.environ['PATH'] = f'{Path(sys.executable).parent}{os.pathsep}{os.environ.get("PATH", "")}'


for command in (
    new,
    validate,
    build,
    setup,
    doctor,
    pseudos,
    run,
    watch,
    resume,
    retry_failed,
    import_,
    train,
    validate_potential,
    dataset,
    export,
    health,
    status,
    report,
    plot,
    why,
    query,
    diff,
    bundle,
    plugins,
    schema,
):
    main.add_command(with_profile(command))
