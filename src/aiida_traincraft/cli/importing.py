"""``traincraft import``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiida_traincraft.cli.options import level_of_theory

if TYPE_CHECKING:
    from aiida_traincraft.exchange.imports import Imported
    from aiida_traincraft.exchange.judging import ImportReport

MOST_SHOWN = 20


@click.command('import')
@click.argument('files', nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@level_of_theory(
    'What made the labels: words, a .toml or .json file with its parameters, or hash or UUID of a stored level.',
    required=True,
)
@click.option('--key', 'keys', multiple=True, metavar='PROPERTY=KEY', help='Key of a property in the file; repeatable.')
@click.option('--system', help='System of frames that name none (by config_type, or a --key system=KEY).')
@click.option('--allow', multiple=True, metavar='RULE', help='Rule of plausibility not to apply; repeatable.')
@click.option('--skip-refused', is_flag=True, help='Store the good frames although others are refused.')
@click.option('--group-by-file', is_flag=True, help='Each file is one trajectory: a split never parts its frames.')
@click.option('--near-dedup', type=float, metavar='TOLERANCE', help='Leave out near duplicates; slow.')
@click.option('--dry-run', is_flag=True, help='Judge and report only.')
@click.option(
    '--report', type=click.Path(dir_okay=False, path_type=Path), help='Write the report with all refusals (JSON).'
)
@click.pass_obj
def import_(
    profile: str | None,
    files: tuple[Path, ...],
    level: str,
    keys: tuple[str, ...],
    system: str | None,
    allow: tuple[str, ...],
    skip_refused: bool,
    group_by_file: bool,
    near_dedup: float | None,
    dry_run: bool,
    report: Path | None,
) -> None:
    """Store the labelled frames of extended XYZ FILES, each as a structure node and a label node.

    Units are eV, Å, eV/Å and eV/Å³. Frames count from 0. Nothing is stored when a frame is refused; an import that was
    cut off goes on when the same command is given again.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from aiida_traincraft.cli import profile as profiles
    from aiida_traincraft.exchange.imports import import_frames, parse_level
    from aiida_traincraft.exchange.judging import ImportOptions, write_report

    chosen = dict(pair.partition('=')[::2] for pair in keys)
    if not all(chosen.values()):
        raise click.BadParameter('give PROPERTY=KEY, such as energy=dft_energy', param_hint='--key')
    if len({path.resolve() for path in files}) < len(files):
        raise click.BadParameter('a file is given twice', param_hint='FILES')
    options = ImportOptions(chosen, system, allow, skip_refused, group_by_file, near_dedup)
    profiles.load(profile)
    console = Console(stderr=True)
    columns = (TextColumn('{task.description}'), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        tasks: dict[str, TaskID] = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.advance(tasks[stage], done)

        try:
            done = import_frames(files, parse_level(level), options, dry_run, tell)
        except KeyboardInterrupt:
            raise click.ClickException('interrupted; the same command goes on where it stopped') from None
    if report is not None:
        write_report(report, done.report)
    _show(done, dry_run)
    if done.process is None and not dry_run:
        sys.exit(1)
    if dry_run and (done.report.problems or done.report.refusals):
        sys.exit(1)


def _show(done: Imported, dry_run: bool) -> None:
    from aiida_traincraft.data.reading import find_output
    from aiida_traincraft.science.datasets.plausibility import RULES

    report = done.report
    click.echo(f'{report.frames} frames, by the keys {_counts(report.keys) or "none"}')
    if report.unused_keys:
        click.echo(f'kept as they are, but used for nothing: {_counts(report.unused_keys)}')
    for text in report.notes:
        click.echo(f'note: {text}')
    if report.systems:
        click.echo(f'systems: {_counts({name or "(no name)": count for name, count in report.systems.items()})}')
    for text in report.problems:
        click.echo(f'refused: {text}', err=True)
    for refusal in report.refusals[:MOST_SHOWN]:
        click.echo(f'refused: {refusal}', err=True)
    if len(report.refusals) > MOST_SHOWN:
        click.echo(f'... and {len(report.refusals) - MOST_SHOWN} more (--report FILE lists all)', err=True)
    if report.refusals:
        rules = {refusal.rule for refusal in report.refusals}
        click.echo(f'frames refused: {len(report.refusals)}, by {", ".join(sorted(rules))}', err=True)
        if allowed := [f'--allow {rule}' for rule in sorted(rules & set(RULES))]:
            click.echo(f'to take them as they are: {" ".join(allowed)}', err=True)
    numbers = f'{report.accepted} new, {report.known} stored before, {report.repeated} repeated'
    if report.near:
        numbers += f', {report.near} near duplicates left out'
    click.echo(numbers)
    if done.process is None:
        click.echo('nothing was stored' + _advice(report, dry_run))
        return
    manifest = find_output(done.process, 'manifest')
    assert manifest is not None
    how = 'was imported before' if done.finished_before else 'is imported'
    click.echo(f'all of it {how} by process {done.process.uuid} <{done.process.pk}>, labels in {manifest.uuid}')
    click.echo(f'a dataset of it: traincraft dataset create --import {done.process.pk}')


def _advice(report: ImportReport, dry_run: bool) -> str:
    if dry_run:
        return ': this was a dry run'
    if report.problems:
        return ''
    if report.refusals and report.accepted + report.known:
        return ': --skip-refused stores the others, --allow RULE takes what a rule refuses'
    return ': no frame is left'


def _counts(numbers: dict[str, int]) -> str:
    return ', '.join(f'{name} ({count})' for name, count in sorted(numbers.items()))
