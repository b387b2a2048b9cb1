"""``traincraft retry-failed``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from aiida import orm


@click.command(name='retry-failed')
@click.argument('campaign')
@click.option(
    '--with',
    'file',
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='Campaign file whose sections [labelling] and [codes] hold instead: more time, another code, ....',
)
@click.option('--in-process', is_flag=True, help='Run without the daemon, for debugging.')
@click.option('--detach', is_flag=True, help='Submit and return.')
@click.pass_obj
def retry_failed(profile: str | None, campaign: str, file: Path | None, in_process: bool, detach: bool) -> None:
    """Label what failed in a campaign (name, PK or UUID) once more, and nothing else.

    The labels are found when the campaign is run again: "traincraft run FILE" calculates only what has no label.
    """
    from aiida import orm
    from aiida.engine import run_get_node, submit

    from aiida_traincraft.calculations.functions.ledgers import failed_structures
    from aiida_traincraft.cli import profile as profiles
    from aiida_traincraft.cli.naming import load_campaign
    from aiida_traincraft.launch.campaign_builder import builder_from_config
    from aiida_traincraft.provenance.retries import failed_rows, ledgers, level_change
    from aiida_traincraft.workchains.label import LabelWorkChain

    profiles.load(profile)
    node = load_campaign(campaign)
    if not node.is_terminated:
        raise click.ClickException(
            f'campaign {node.label!r} <{node.pk}> is still running; wait for it, or end it with '
            f'"verdi process kill {node.pk}"'
        )
    if not failed_rows(node):
        click.echo('nothing failed')
        return
    inputs = node.inputs
    if file is not None:
        inputs = builder_from_config(file)
        if change := level_change(node, inputs):
            raise click.ClickException(
                f'the labels of {file} are of another level of theory, and the campaign would not find them: {change}. '
                'Change only what leaves the level as it is (time, resources, how the SCF converges), or run the file '
                'as a campaign of its own: "traincraft run FILE"'
            )
    config = inputs['config'].get_dict()
    # However many fail again: each is told, and none is skipped for the others' sake.
    config['labelling']['max_failed_fraction'] = 1.0
    left = failed_structures(**{f'ledger_{i:04d}': ledger for i, ledger in enumerate(ledgers(node))})
    click.echo(f'{len(left)} structures are labelled once more')
    builder = LabelWorkChain.get_builder()
    builder.config, builder.structures = orm.Dict(config), left
    builder.codes = dict(inputs['codes'])
    builder.plugins = dict(inputs['plugins']) if 'plugins' in inputs else {}
    builder.metadata.label = f'retry of {node.label}'
    if in_process:
        _, retry = run_get_node(builder)
    else:
        profiles.ensure_daemon()
        retry = submit(builder)
        click.echo(f'submitted: PK {retry.pk}, UUID {retry.uuid}')
        if detach:
            profiles.await_pickup(retry)
            click.echo(f'follow it with: verdi process status {retry.pk}')
            return
        if not wait(retry.pk, f'traincraft resume {node.pk}'):
            return
    sys.exit(report(retry.pk))


def wait(pk: int, resume: str) -> bool:
    """Show progress of a retry, or a training, until it ends; False if the user stopped that before."""
    from aiida_traincraft.cli.following import follow
    from aiida_traincraft.provenance.campaign import job_counts

    def tell(node: orm.ProcessNode) -> str:
        running, done = job_counts(node)
        return f'jobs {done} done, {running} running'

    return follow(pk, tell, resume, f'verdi process status {pk}')


def report(pk: int) -> int:
    """Tell how a retry ended, and return the exit status of the command."""
    from aiida import orm

    node = orm.load_node(pk)
    if 'ledger' not in node.outputs:
        click.echo(f'the labelling failed: {node.exit_message or node.exception or node.process_state.value}', err=True)
        return 1
    ledger = node.outputs.ledger
    click.echo(f'{ledger.counts["labelled"]} of {ledger.counts["total"]} labelled now')
    for reason, number in ledger.reasons.items():
        click.echo(f'{number} failed again: {reason}')
    click.echo('"traincraft run FILE" goes on from here: labels that exist are not calculated again')
    return 0 if not ledger.counts['failed'] else 1
