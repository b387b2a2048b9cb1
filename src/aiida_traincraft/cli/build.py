"""``traincraft build`` and ``validate``: what a campaign file says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_traincraft.cli.options import output_folder

if TYPE_CHECKING:
    from aiida_traincraft.science.campaign.systems import BuiltSystem


@click.command()
@click.argument('campaign', type=click.Path(path_type=Path))
@output_folder('Folder to make; without it geometry/ in the folder of the results.')
@click.option('--system', 'names', multiple=True, metavar='NAME', help='Only this system; may be given again.')
def build(campaign: Path, output: Path | None, names: tuple[str, ...]) -> None:
    """Build the starting geometries of a campaign and write them as extended XYZ, with a picture of all."""
    from rich.console import Console

    from aiida_traincraft.report.contact_sheet import Row, draw_contact_sheet
    from aiida_traincraft.report.results_folder import GEOMETRY, claim
    from aiida_traincraft.science.campaign.systems import all_systems, build_systems
    from aiida_traincraft.science.config.loader import load_campaign
    from aiida_traincraft.science.structure import write_extxyz

    config = load_campaign(campaign)
    known = [system.name for _, system in all_systems(config)]
    if unknown := [name for name in names if name not in known]:
        raise click.ClickException(f'{campaign.name} has no system {unknown[0]!r}; it has {", ".join(known)}')
    folder = output or Path(config.run.outdir) / config.run.name / GEOMETRY
    if output is not None and output.exists():
        raise click.ClickException(f'{output} is there already: remove it, or choose another --output')
    built = list(build_systems(config, campaign.resolve().parent, names))
    done = [system for system in built if system.structures]
    if done:
        if output is None:
            claim(folder.parent)
        folder.mkdir(parents=True, exist_ok=True)
        for system in done:
            write_extxyz(folder / f'{system.config.name}.extxyz', system.structures)
        rows = [Row(system.config.name, system.structures[0], len(system.structures)) for system in done]
        draw_contact_sheet(rows, folder / 'contact_sheet.png')
        console = Console(markup=False)
        console.print(_table(done))
        console.print(f'written to {folder}', highlight=False, soft_wrap=True)
    _tell_later(built)
    failed = [f'{system.place} ({system.config.name}): {system.error}' for system in built if system.error]
    if failed:
        raise click.ClickException('\n'.join([f'{len(failed)} of {len(built)} systems cannot be built', *failed]))


@click.command()
@click.argument('campaigns', nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option('--without-profile', is_flag=True, help='Leave out what needs a profile: codes, pseudopotentials, ...')
@click.pass_obj
def validate(profile: str | None, campaigns: tuple[Path, ...], without_profile: bool) -> None:
    """Check campaign files as "run" does, all errors at once; nothing is stored."""
    from aiida_traincraft.science.errors import ConfigError

    if not without_profile:
        from aiida_traincraft.cli import profile as profiles

        without_profile = profile is None and not profiles.has_default()
        if not without_profile:
            profiles.load(profile)
    errors = []
    for campaign in campaigns:
        try:
            built = _checked(campaign, without_profile)
        except ConfigError as error:
            errors.append(str(error))
            continue
        n_structures = sum(len(system.structures) for system in built)
        click.echo(f'{campaign}: valid; {len(built)} systems, {n_structures} starting structures')
        _tell_later(built)
    if without_profile:
        click.echo('without a profile: codes, pseudopotentials and stored potentials are not checked')
    if errors:
        raise click.ClickException('\n'.join(errors))


def _checked(campaign: Path, without_profile: bool) -> list[BuiltSystem]:
    """Systems of a campaign that nothing speaks against."""
    from aiida_traincraft.science.campaign.checks import CHECKS
    from aiida_traincraft.science.campaign.preflight import Preflight, examine
    from aiida_traincraft.science.config.loader import load_campaign
    from aiida_traincraft.science.errors import ConfigError

    config, folder = load_campaign(campaign), campaign.resolve().parent
    if without_profile:
        preflight = Preflight(config, folder)
        built, issues = preflight.built, examine(preflight, CHECKS)
    else:
        from aiida_traincraft.launch.checks import frozen_preflight

        with frozen_preflight(config, folder) as (preflight, _, issues):
            built = preflight.built
    if issues:
        raise ConfigError(issues, campaign.name)
    return built


def _tell_later(built: list[BuiltSystem]) -> None:
    for system in built:
        if system.at_launch:
            source = system.config.geometry.source
            assert source is not None
            name = system.config.name
            click.echo(f'{system.place} ({name}): source "{source.type}" is read from a profile at launch')


def _table(built: list[BuiltSystem]) -> Any:
    """One row per system, of its first structure."""
    from aiida_traincraft.cli.layout import new_table
    from aiida_traincraft.science.geometry.measures import measure

    caption = 'n: structures, of which the first is measured; d: shortest distance between two atoms'
    heads = ('system', 'n', 'formula', 'atoms', 'cell (Å)', 'g/cm³', 'd (Å)')
    table = new_table(heads, ('n', 'atoms', 'g/cm³', 'd (Å)'), caption=caption)
    for system in built:
        figures = measure(system.structures[0])
        table.add_row(
            system.config.name,
            str(len(system.structures)),
            figures.formula,
            str(figures.n_atoms),
            figures.cell_text,
            '-' if figures.density is None else f'{figures.density:.3f}',
            '-' if figures.min_distance is None else f'{figures.min_distance:.3f}',
        )
    return table
