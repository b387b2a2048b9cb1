"""``traincraft run``, ``watch`` and ``resume``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiida_traincraft.cli.retry import report, wait

if TYPE_CHECKING:
    from aiida import orm


@click.command()
@click.argument('campaign', type=click.Path(path_type=Path))
@click.option('--in-process', is_flag=True, help='Run without the daemon, for debugging: a killed run cannot resume.')
@click.option('--detach', is_flag=True, help='Submit and return.')
@click.option('--stop-daemon', is_flag=True, help='Stop the daemon at the end if this command started it.')
@click.pass_obj
def run(profile: str | None, campaign: Path, in_process: bool, detach: bool, stop_daemon: bool) -> None:
    """Run the campaign of a TOML file and watch it; Ctrl-C stops watching, the campaign goes on."""
    from aiida.engine import run_get_node, submit

    from aiida_traincraft.cli import profile as profiles
    from aiida_traincraft.launch.campaign_builder import builder_from_config
    from aiida_traincraft.provenance.queries import load_campaign_node
    from aiida_traincraft.report.results_folder import claim, open_folder
    from aiida_traincraft.science.config.loader import load_campaign

    config = load_campaign(campaign)
    profiles.load(profile)
    builder = builder_from_config(config, campaign.resolve().parent)
    outdir = Path(config.run.outdir).resolve() / config.run.name
    # Found out now, not after hours.
    try:
        claim(outdir)
    except OSError as error:
        raise click.ClickException(str(error)) from error
    if in_process:
        try:
            _, node = run_get_node(builder)
        except (Exception, KeyboardInterrupt) as error:
            click.echo(f'the campaign broke off: {type(error).__name__}: {error}', err=True)
            node = load_campaign_node(config.run.name)
        sys.exit(_finish(node.pk, outdir))
    started = profiles.ensure_daemon()
    node = submit(builder)
    click.echo(f'campaign {config.run.name!r} is submitted: PK {node.pk}, UUID {node.uuid}')
    outdir = open_folder(outdir, node.uuid)
    if detach:
        profiles.await_pickup(node)
        click.echo(f'follow it with: traincraft watch {node.pk}')
        return
    if not _watch(node.pk, outdir):
        return
    status = _finish(node.pk, outdir)
    if started and stop_daemon:
        profiles.stop_daemon()
        click.echo('the daemon that this command started is stopped')
    sys.exit(status)


@click.command()
@click.argument('campaign', required=False)
@click.pass_obj
def watch(profile: str | None, campaign: str | None) -> None:
    """Watch a campaign (name, PK or UUID; the newest by default) and write its results when it ends."""
    from aiida_traincraft.cli import profile as profiles
    from aiida_traincraft.cli.naming import load_campaign

    profiles.load(profile)
    node = load_campaign(campaign)
    folder = _results_folder(node)
    if _watch(node.pk, folder):
        sys.exit(_finish(node.pk, folder))


@click.command()
@click.argument('campaign', required=False)
@click.option('--detach', is_flag=True, help='Start the daemon again and return.')
@click.pass_obj
def resume(profile: str | None, campaign: str | None, detach: bool) -> None:
    """Go on with a campaign, or a retry of its labels, after anything was killed: repair, start the daemon, watch."""
    from aiida_traincraft.cli import profile as profiles
    from aiida_traincraft.cli.naming import load_campaign
    from aiida_traincraft.provenance.retries import retries

    name = profiles.load(profile)
    node = load_campaign(campaign)
    going_on = [process for process in (node, *retries(node)) if not process.is_terminated]
    if going_on:
        why = profiles.ailment() or profiles.lost(going_on)
        if why is None:
            click.echo('it runs already: the daemon works, and all its processes are there')
        else:
            click.echo(f'{why}: the daemon is started again')
            # Processes that lost their task can only be handed out again while the daemon is stopped.
            workers = profiles.stop_daemon()
            profiles.repair(name)
            profiles.ensure_daemon(workers)
            click.echo('the daemon is running again')
        for process in going_on:
            profiles.play_paused(process)
    if detach:
        return
    again = [process.pk for process in going_on if process.pk != node.pk]
    if again:
        click.echo('the campaign has ended, a retry of its failed labels goes on')
        if all(wait(pk, f'traincraft resume {node.pk}') for pk in again):
            sys.exit(max(report(pk) for pk in again))
        return
    folder = _results_folder(node)
    if _watch(node.pk, folder):
        sys.exit(_finish(node.pk, folder))


def _watch(pk: int, folder: Path) -> bool:
    """Show progress until a campaign ends, with a report after each cycle; False if the user stopped that before."""
    from aiida_traincraft.cli.following import follow
    from aiida_traincraft.cli.tables import progress_line
    from aiida_traincraft.provenance.campaign import progress
    from aiida_traincraft.report.page import write_page

    reported = 0

    def tell(node: orm.ProcessNode) -> str:
        nonlocal reported
        state = progress(node)
        if state.scored > reported and not node.is_terminated:
            reported = state.scored
            write_page(node, folder / 'report.html')
        return progress_line(state)

    return follow(pk, tell, f'traincraft resume {pk}', f'traincraft watch {pk}')


def _finish(pk: int, folder: Path) -> int:
    """Write the results, print the learning table, and return the exit status of the command."""
    from aiida import orm
    from rich.console import Console

    from aiida_traincraft.cli.layout import wide_console
    from aiida_traincraft.cli.tables import errors_text, labels_text, learning_table, print_verdict, validation_table
    from aiida_traincraft.report.results import write_results

    node = orm.load_node(pk)
    summary = write_results(node, folder)
    console = Console(markup=False)
    console.print(learning_table(summary))
    print_verdict(console, summary['verdict'])
    console.print(f'stopped: {summary["stop_reason"]}', highlight=False)
    if summary['validation']:
        wide_console().print(validation_table(summary['validation']))
    if summary['student_errors'] is not None:
        console.print(f'student: test RMSE {errors_text(summary["student_errors"])}', highlight=False)
    counts = summary['labels']
    console.print(f'labels: {labels_text(counts)}, {counts["total"]} in all', highlight=False)
    for reason, number in summary['failed_labels'].items():
        console.print(f'  {number} x {reason}', highlight=False)
    if counts['failed'] + counts['skipped']:
        console.print(f'try them again with: traincraft retry-failed {node.pk}', highlight=False)
    console.print(f'results are in {folder}', highlight=False, soft_wrap=True)
    # 500 and above are stop criteria: the campaign ended as its config says, with usable results.
    usable = node.is_finished_ok or (node.is_finished and node.exit_status >= 500)
    return 0 if usable else 1


def _results_folder(node: orm.WorkChainNode) -> Path:
    """Folder that a campaign's results go to.

    A campaign may come from an archive: elsewhere than below this folder it only writes where "run" has begun it.
    """
    from aiida_traincraft.report.results_folder import open_folder, read_mark

    here, config = Path.cwd().resolve(), node.inputs.config['run']
    name = Path(str(config['name'])).name or f'campaign_{node.pk}'
    wanted = (here / str(config['outdir'])).resolve() / name
    mark = read_mark(wanted)
    if not wanted.is_relative_to(here) and (mark is None or mark.campaign != node.uuid):
        click.echo(f'its results do not go to {wanted}, where it was not started', err=True)
        wanted = here / 'runs' / name
    return open_folder(wanted, node.uuid)
