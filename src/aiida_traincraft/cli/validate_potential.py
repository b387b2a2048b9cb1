"""``traincraft validate-potential``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiida_traincraft.cli.options import output_file
from aiida_traincraft.cli.retry import wait

if TYPE_CHECKING:
    from aiida import orm

    from aiida_traincraft.data.potentials.base import PotentialData


@click.command()
@click.argument('potential', required=False)
@click.option(
    '--with', 'validators', required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help='File with a section [validation].',
)  # fmt: skip
@click.option('--test-set', help='Dataset to score on (its split "test"), or a campaign, whose test set is meant.')
@output_file('Write numbers and curves as JSON.')
@click.option('--in-process', is_flag=True, help='Run without the daemon, for debugging.')
@click.pass_obj
def validate_potential(
    profile: str | None,
    potential: str | None,
    validators: Path,
    test_set: str | None,
    output: Path | None,
    in_process: bool,
) -> None:
    """Validate a potential: a node, that of a campaign, a file (.model, .yaml), or what [potential] describes."""
    from aiida import orm
    from aiida.engine import run_get_node, submit

    from aiida_traincraft.cli import profile as profiles
    from aiida_traincraft.cli.naming import load_test_set
    from aiida_traincraft.launch.validation_builder import validation_builder

    profiles.load(profile)
    builder = validation_builder(validators, _subject(potential), None if test_set is None else load_test_set(test_set))
    if in_process:
        _, node = run_get_node(builder)
    else:
        profiles.ensure_daemon()
        node = submit(builder)
        click.echo(f'the validation is submitted: PK {node.pk}, UUID {node.uuid}')
        if not wait(node.pk, profiles.RESTART):
            return
    sys.exit(_report(orm.load_node(node.pk), output))


def _subject(potential: str | None) -> PotentialData | Path | None:
    """Potential or file of a name."""
    from aiida_traincraft.cli.naming import load_potential
    from aiida_traincraft.provenance.queries import find_named

    if potential is None:
        return None
    if Path(potential).is_file():
        return Path(potential)
    if find_named(potential) is None:
        raise click.ClickException(f'there is no file and no potential {potential!r}')
    return load_potential(potential)


def _report(node: orm.ProcessNode, output: Path | None) -> int:
    from aiida_traincraft.cli.layout import wide_console
    from aiida_traincraft.cli.tables import validation_table
    from aiida_traincraft.provenance.campaign import verdicts

    if not node.is_finished_ok:
        click.echo(f'the validation failed: {node.exit_message or node.process_state.value}', err=True)
        return 1
    found = node.outputs.validators
    rows = verdicts(found)
    wide_console().print(validation_table(rows))
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(
            json.dumps([row | {'curves': found[row['validator']].curves} for row in rows], indent=2), encoding='utf-8'
        )
        click.echo(f'written to {output}')
    return 1 if any(row['passed'] is False for row in rows) else 0
