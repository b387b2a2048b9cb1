"""``traincraft pseudos``: families of pseudopotentials."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import click

STRINGENCY = 'normal'


@click.group()
def pseudos() -> None:
    """Install and list families of pseudopotentials (UPF) for pw.x."""


@pseudos.command()
@click.argument('folder', type=click.Path(path_type=Path))
@click.option('--family', 'label', required=True, help='Name of the family, for "pseudo_family" of a campaign.')
@click.option('--ecutwfc', type=click.FloatRange(min=0, min_open=True), help='Recommended cutoff of the waves (Ry).')
@click.option('--ecutrho', type=click.FloatRange(min=0, min_open=True), help='Recommended cutoff of the density (Ry).')
@click.pass_obj
def install(profile: str | None, folder: Path, label: str, ecutwfc: float | None, ecutrho: float | None) -> None:
    """Install the UPF files of FOLDER, one per element, as a family; repeating it does no harm."""
    from aiida_pseudo.data.pseudo import UpfData
    from aiida_pseudo.groups.family import CutoffsPseudoPotentialFamily

    from aiida_traincraft.cli import profile as profiles

    if (ecutwfc is None) != (ecutrho is None):
        raise ValueError('--ecutwfc and --ecutrho go together')
    if ecutwfc is not None and ecutrho is not None and ecutrho < 4 * ecutwfc:
        raise ValueError(f'--ecutrho ({ecutrho:g} Ry) must be at least four times --ecutwfc ({ecutwfc:g} Ry)')
    profiles.load(profile)
    found = _read(folder)
    family = _existing(label, {element: node.md5 for element, node in found.items()})
    if family is None:
        with tempfile.TemporaryDirectory() as only_upf:
            for node in found.values():
                shutil.copy(folder / node.filename, only_upf)
            family = CutoffsPseudoPotentialFamily.create_from_folder(Path(only_upf), label, pseudo_type=UpfData)
        click.echo(f'family {label!r}: {len(found)} pseudopotentials installed')
    else:
        click.echo(f'family {label!r}: there already')
    if ecutwfc is not None and ecutrho is not None:
        _set_cutoffs(family, ecutwfc, ecutrho)
    for element, node in found.items():
        functional = _functional(node)
        click.echo(f'{element:2} {node.filename}: {functional}, {node.z_valence} valence electrons, MD5 {node.md5}')
    functionals = {_functional(node) for node in found.values()}
    if len(functionals) > 1:
        click.echo(f'warning: the functionals are mixed ({", ".join(sorted(functionals))}): do not use them together')


@pseudos.command('list')
@click.pass_obj
def list_families(profile: str | None) -> None:
    """List the families installed, with functionals and recommended cutoffs."""
    from aiida import orm
    from aiida_pseudo.groups.family import PseudoPotentialFamily
    from rich.console import Console

    from aiida_traincraft.cli import profile as profiles
    from aiida_traincraft.cli.layout import new_table

    profiles.load(profile)
    table = new_table(('family', 'number', 'functionals', 'cutoffs (Ry)', 'elements'), ('number',))
    query = orm.QueryBuilder().append(PseudoPotentialFamily, tag='family').order_by({'family': 'label'})
    for family in query.all(flat=True):
        functionals = sorted({_functional(node) for node in family.nodes})
        elements = sorted(family.elements)
        table.add_row(
            family.label, str(len(elements)), ', '.join(functionals) or '-', _cutoffs(family), ' '.join(elements)
        )
    nothing = 'no family yet; install one with: traincraft pseudos install FOLDER --family NAME'
    Console().print(table if table.row_count else nothing, highlight=False, markup=False)


def _read(folder: Path) -> dict[str, Any]:
    """Pseudopotentials of a folder by element, as nodes that are not stored."""
    from aiida_pseudo.data.pseudo import UpfData

    if not folder.is_dir():
        raise ValueError(f'{folder} is not a folder: name the folder that holds the UPF files, one per element')
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith('.'))
    files = [path for path in entries if path.is_file() and path.suffix.lower() == '.upf']
    if not files:
        raise ValueError(f'{folder} holds no file *.UPF or *.upf ({len(entries)} other entries)')
    if others := len(entries) - len(files):
        click.echo(f'{others} of {len(entries)} entries of {folder} are no UPF files and are ignored')
    found: dict[str, Any] = {}
    for path in files:
        try:
            node = UpfData(path)
        except Exception as error:
            # aiida-pseudo repeats the whole file in some of its messages.
            raise ValueError(f'{path} cannot be read as UPF: {str(error)[:100].splitlines()[0]}') from error
        if node.element in found:
            raise ValueError(
                f'{folder} holds two pseudopotentials of {node.element}: {found[node.element].filename} and '
                f'{path.name}; make a folder with one file per element'
            )
        found[node.element] = node
    return dict(sorted(found.items()))


def _existing(label: str, content: dict[str, str]) -> Any:
    """Family of this name if it has this content (MD5 by element), None if the name is free."""
    from aiida import orm
    from aiida_pseudo.groups.family import PseudoPotentialFamily

    family = orm.QueryBuilder().append(PseudoPotentialFamily, filters={'label': label}).first(flat=True)
    if family is None:
        return None
    there = {node.element: node.md5 for node in family.nodes}
    if there != content:
        differ = sorted(
            element for element in there.keys() | content.keys() if there.get(element) != content.get(element)
        )
        raise ValueError(
            f'the family {label!r} is there already, with other pseudopotentials for {", ".join(differ)}: '
            'take another name'
        )
    return family


def _set_cutoffs(family: Any, ecutwfc: float, ecutrho: float) -> None:
    """Set the cutoffs; those that are there stay, since campaigns may have used them."""
    from aiida_pseudo.groups.mixins import RecommendedCutoffMixin

    given = {element: {'cutoff_wfc': ecutwfc, 'cutoff_rho': ecutrho} for element in family.elements}
    if not isinstance(family, RecommendedCutoffMixin):
        raise ValueError(f'the family {family.label!r} is of a kind that takes no cutoffs: set them in the campaign')
    if not family.get_cutoff_stringencies():
        family.set_cutoffs(given, STRINGENCY, unit='Ry')
    elif _cutoffs(family) != _cutoffs_text(ecutwfc, ecutrho):
        raise ValueError(
            f'the family {family.label!r} recommends {_cutoffs(family)} Ry already: take another name, or set '
            '"ecutwfc" and "ecutrho" in the campaign'
        )
    click.echo(f'recommended cutoffs: {_cutoffs(family)} Ry')


def _cutoffs(family: Any) -> str:
    """Largest recommended cutoffs (Ry) of a family."""
    from aiida_pseudo.groups.mixins import RecommendedCutoffMixin

    if not isinstance(family, RecommendedCutoffMixin) or not family.get_cutoff_stringencies():
        return '-'
    return _cutoffs_text(*family.get_recommended_cutoffs(elements=tuple(family.elements), unit='Ry'))


def _cutoffs_text(ecutwfc: float, ecutrho: float) -> str:
    return f'{ecutwfc:g} / {ecutrho:g}'


def _functional(pseudo: Any) -> str:
    from aiida_traincraft.science.labelling.quantumespresso import upf_functional

    try:
        return upf_functional(pseudo.get_content())
    except ValueError:
        return 'unknown functional'
