"""``traincraft dataset``: datasets from labels and from datasets."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from aiida_traincraft.cli.naming import load_dataset, load_level
from aiida_traincraft.cli.options import Element, element, level_of_theory
from aiida_traincraft.cli.ranges import Formula, Range

if TYPE_CHECKING:
    from aiida_traincraft.data.dataset import DatasetData
    from aiida_traincraft.data.manifest import ManifestData

MOST_LEAKS = 20
METHOD_HELP = 'Maximise the information one by one, or rank as pace_select does.'
WEIGHT_HELP = 'Weight of the structures of a {}; repeatable.'


@click.group()
def dataset() -> None:
    """Make datasets from stored labels; split, weight, merge, filter, reduce and check them.

    A dataset is named by its UUID (or the beginning of it), its PK, or the campaign whose last dataset is meant. What
    is made is a new node; the old one stays as it is.
    """


def _with_filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that choose labels."""
    for option in (
        click.option('--where', metavar='JSON', help='Any filters of the QueryBuilder on LabelData.'),
        click.option('--energy-per-atom', type=Range(), help='Energy per atom, eV.'),
        click.option('--max-force', type=Range(), help='Largest norm of a force, eV/Å.'),
        click.option('--system', help='Name of the system.'),
        element,
        click.option('--formula', type=Formula(), help='Chemical formula of the cell, such as Al3Ni.'),
    ):
        command = option(command)
    return command


@dataset.command()
@level_of_theory('Take all labels of this level: its hash, or the beginning of it, or as at the import.')
@click.option('--import', 'imported', help='Take the labels of this import (its process, or the manifest it made).')
@_with_filters
@click.pass_obj
def create(profile: str | None, /, level: str | None, imported: str | None, **chosen: Any) -> None:
    """Make a dataset from stored labels; structures of any test set at the same level of theory are left out."""
    from aiida import orm

    from aiida_traincraft.calculations.functions.gathering import choose_labels, gather_dataset
    from aiida_traincraft.cli import profile as profiles
    from aiida_traincraft.data.dataset import label_attributes

    if (level is None) == (imported is None):
        raise click.UsageError('give either --level-of-theory or --import')
    profiles.load(profile)
    inputs: dict[str, Any] = {}
    if imported is not None:
        inputs['labels'] = _manifest(imported)
        ((digest,),) = label_attributes(inputs['labels'].uuids[:1], 'level_of_theory')
    else:
        assert level is not None
        try:
            digest = load_level(level)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint='--level-of-theory') from error
    if filters := _filters(**chosen):
        inputs['filters'] = orm.Dict(filters)
    _check_filters({'and': [{'attributes.level_of_theory': digest}, *([filters] if filters else [])]})
    try:
        choose_labels(digest, **inputs)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    _make(gather_dataset, level=orm.Str(digest), **inputs)


@dataset.command()
@click.argument('name', metavar='DATASET')
@click.option(
    '--test-fraction',
    required=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help='Test structures among all, as near as whole groups allow.',
)
@click.option(
    '--by',
    type=click.Choice(['group', 'system', 'frame']),
    default='group',
    show_default=True,
    help='What is never divided: frames of one trajectory, of one system, or nothing.',
)
@click.option(
    '--tolerance',
    type=click.FloatRange(0, min_open=True),
    help='Relative distance (no unit) within which frames are near duplicates, whose groups are joined.',
)
@click.option('--exact', is_flag=True, help='Do not look for near duplicates: faster.')
@click.option('--seed', default=1, show_default=True, help='Of the draw.')
@click.pass_obj
def split(
    profile: str | None,
    name: str,
    test_fraction: float,
    by: str,
    tolerance: float | None,
    exact: bool,
    seed: int,
) -> None:
    """Move whole groups, drawn by chance, from the training to the test set."""
    from aiida import orm

    from aiida_traincraft.calculations.functions.dataset_edits import split_dataset
    from aiida_traincraft.cli import profile as profiles
    from aiida_traincraft.science.datasets.near_duplicates import DEFAULT_TOLERANCE

    if exact and tolerance is not None:
        raise click.UsageError('--exact looks for no near duplicates: leave --tolerance out')
    profiles.load(profile)
    node = load_dataset(name)
    options: dict[str, Any] = {'test_fraction': test_fraction, 'by': by, 'tolerance': None, 'seed': seed}
    _rehearse(split_dataset, dataset=node, options=orm.Dict(options))
    if by == 'group':
        _report_ungrouped(node)
    if not exact:
        options['tolerance'] = DEFAULT_TOLERANCE if tolerance is None else tolerance
    _make(split_dataset, dataset=node, options=orm.Dict(options))


@dataset.command()
@click.argument('name', metavar='DATASET')
@click.option('--system', 'systems', multiple=True, metavar='NAME=WEIGHT', help=WEIGHT_HELP.format('system'))
@click.option('--group', 'groups', multiple=True, metavar='NAME=WEIGHT', help=WEIGHT_HELP.format('group'))
@click.pass_obj
def weight(profile: str | None, name: str, systems: tuple[str, ...], groups: tuple[str, ...]) -> None:
    """Set weights: factors on the residuals of a structure, whose part of the loss goes with the square."""
    from aiida import orm

    from aiida_traincraft.calculations.functions.dataset_edits import weight_dataset
    from aiida_traincraft.cli import profile as profiles

    if not systems and not groups:
        raise click.UsageError('give at least one --system or --group')
    weights = {'systems': _weights(systems, '--system'), 'groups': _weights(groups, '--group')}
    profiles.load(profile)
    inputs = {'dataset': load_dataset(name), 'options': orm.Dict(weights)}
    _rehearse(weight_dataset, **inputs)
    _make(weight_dataset, **inputs)


@dataset.command('e0')
@click.argument('name', metavar='DATASET')
@click.argument('energies', metavar='ELEMENT=ENERGY...', nargs=-1, required=True)
@click.pass_obj
def e0_(profile: str | None, name: str, energies: tuple[str, ...]) -> None:
    """Give energies of isolated atoms (eV), at the level of theory of the labels, of elements that have none."""
    from aiida import orm

    from aiida_traincraft.calculations.functions.dataset_edits import give_e0
    from aiida_traincraft.cli import profile as profiles

    given = _weights(energies, 'ELEMENT=ENERGY', 'ELEMENT=ENERGY, for example Cu=-3.7', _element)
    profiles.load(profile)
    inputs = {'dataset': load_dataset(name), 'energies': orm.Dict(given)}
    _rehearse(give_e0, **inputs)
    _make(give_e0, **inputs)


@dataset.command()
@click.argument('names', metavar='DATASET...', nargs=-1, required=True)
@click.pass_obj
def merge(profile: str | None, names: tuple[str, ...]) -> None:
    """Join datasets of one level of theory; a structure that several have counts once, as the first has it."""
    from aiida_traincraft.calculations.functions.dataset_edits import merge_datasets
    from aiida_traincraft.cli import profile as profiles

    if len(names) < 2:
        raise click.UsageError('give at least two datasets')
    profiles.load(profile)
    inputs = {f'dataset_{index:02d}': load_dataset(name) for index, name in enumerate(names)}
    _rehearse(merge_datasets, **inputs)
    _make(merge_datasets, **inputs)


@dataset.command('filter')
@click.argument('name', metavar='DATASET')
@_with_filters
@click.pass_obj
def filter_(profile: str | None, /, name: str, **chosen: Any) -> None:
    """Keep the structures whose labels match all filters; isolated atoms stay."""
    from aiida import orm

    from aiida_traincraft.calculations.functions.dataset_edits import filter_dataset
    from aiida_traincraft.cli import profile as profiles

    filters = _filters(**chosen)
    if not filters:
        raise click.UsageError('give at least one filter')
    profiles.load(profile)
    node = load_dataset(name)
    _check_filters(filters)
    inputs = {'dataset': node, 'filters': orm.Dict(filters)}
    _rehearse(filter_dataset, **inputs)
    _make(filter_dataset, **inputs)


@dataset.command()
@click.argument('name', metavar='DATASET')
@click.option('--size', required=True, type=click.IntRange(min=1), help='Training structures that stay.')
@click.option(
    '--method', type=click.Choice(['greedy', 'maxvol']), default='greedy', show_default=True, help=METHOD_HELP
)
@click.option('--cutoff', type=click.FloatRange(1, 20, min_open=True), default=5.5, show_default=True, help='Basis, Å.')
@click.pass_obj
def reduce(profile: str | None, name: str, size: int, method: str, cutoff: float) -> None:
    """Keep the most informative training structures (D-optimality over an ACE basis); needs python-ace here."""
    from aiida import orm

    from aiida_traincraft.calculations.functions.dataset_edits import check_reduction, reduce_dataset
    from aiida_traincraft.cli import profile as profiles
    from aiida_traincraft.science.models.pyace_import import import_pyace
    from aiida_traincraft.science.optional import ROLES, pip_install

    try:
        import_pyace()
    except ModuleNotFoundError as error:
        raise click.ClickException(f'python-ace is not installed here: {pip_install(ROLES["pace"][-1])}') from error
    profiles.load(profile)
    node, options = load_dataset(name), orm.Dict({'size': size, 'method': method, 'cutoff': cutoff})
    check_reduction(node, options)
    _make(reduce_dataset, dataset=node, options=options)


@dataset.command()
@click.argument('name', metavar='DATASET')
@click.option(
    '--tolerance',
    type=click.FloatRange(0, min_open=True),
    help='Relative distance (no unit) within which frames are near duplicates.',
)
@click.pass_obj
def check(profile: str | None, name: str, tolerance: float | None) -> None:
    """Look for training structures that the test set knows: of one group, or near duplicates; exit 1 if there are."""
    from aiida_traincraft.cli import profile as profiles
    from aiida_traincraft.data.leakage import find_leaks
    from aiida_traincraft.science.datasets.near_duplicates import DEFAULT_TOLERANCE

    profiles.load(profile)
    node = load_dataset(name)
    _report_ungrouped(node)
    limit = DEFAULT_TOLERANCE if tolerance is None else tolerance
    leaks = find_leaks(node, limit)
    for leak in leaks[:MOST_LEAKS]:
        click.echo(str(leak))
    if len(leaks) > MOST_LEAKS:
        click.echo(f'... and {len(leaks) - MOST_LEAKS} more')
    if leaks:
        click.echo(f'{len(leaks)} leaks in a {node}: split it anew, by group and with this tolerance ({limit:g})')
        sys.exit(1)
    click.echo(f'no leaks within {limit:g} in a {node}')


@dataset.command()
@click.argument('name', metavar='DATASET')
@click.pass_obj
def show(profile: str | None, name: str) -> None:
    """Show what a dataset holds."""
    from aiida_traincraft.cli import profile as profiles

    profiles.load(profile)
    node = load_dataset(name)
    click.echo(f'{node}: UUID {node.uuid}')
    click.echo(f'level of theory: {", ".join(node.levels_of_theory) or "none"}')
    click.echo(
        f'E0: {", ".join(f"{element} {energy:.6f} eV" for element, energy in sorted(node.e0.items())) or "none"}'
    )
    for system, count in sorted(node.systems.items()):
        click.echo(f'{count} structures of {system or "unknown origin"}')
    if node.parent is not None:
        click.echo(f'{len(node.new_rows)} more than its parent {node.parent.uuid}')


def _report_ungrouped(node: DatasetData) -> None:
    """Say how many structures cannot be recognised as frames of one trajectory."""
    from aiida_traincraft.data.dataset import label_attributes

    labels = [row.label for row in node.rows if row.split != 'e0']
    alone = sum(group is None for (group,) in label_attributes(labels, 'group'))
    if alone:
        click.echo(f'{alone} of {len(labels)} structures have no group: each counts for itself')


def _filters(
    formula: str | None,
    elements: tuple[str, ...],
    system: str | None,
    max_force: tuple[float | None, float | None] | None,
    energy_per_atom: tuple[float | None, float | None] | None,
    where: str | None,
) -> dict[str, Any]:
    """Filters on labels that the options ask for."""
    conditions: list[dict[str, Any]] = []
    if formula is not None:
        conditions.append({'attributes.formula': formula})
    if elements:
        conditions.append({'attributes.elements': {'contains': list(elements)}})
    if system is not None:
        conditions.append({'attributes.system': system})
    for name, window in (('max_force', max_force), ('energy_per_atom', energy_per_atom)):
        for sign, bound in zip(('>=', '<='), window or (), strict=False):
            if bound is not None:
                conditions.append({f'attributes.{name}': {sign: bound}})
    if where is not None:
        try:
            further = json.loads(where)
        except ValueError as error:
            raise click.BadParameter(f'this is no JSON: {error}', param_hint='--where') from error
        if not isinstance(further, dict) or not further:
            raise click.BadParameter('give a table such as {"attributes.n_atoms": {"<": 64}}', param_hint='--where')
        conditions.append(further)
    return {'and': conditions} if conditions else {}


def _check_filters(filters: dict[str, Any]) -> None:
    """Refuse filters that the database does not understand, or that nothing matches, before a process is made."""
    from aiida import orm

    from aiida_traincraft.data.filters import float_numbers
    from aiida_traincraft.data.frames.label import LabelData

    try:
        count = orm.QueryBuilder().append(LabelData, filters=float_numbers(filters)).count()
    except Exception as error:  # Whatever the database or AiiDA thinks of a user's filters.
        raise click.BadParameter(f'the database cannot use it: {error}', param_hint='--where') from error
    if not count:
        raise click.ClickException(f'no label matches {json.dumps(filters)}')


def _manifest(identifier: str) -> ManifestData:
    from aiida import orm

    from aiida_traincraft.data.manifest import ManifestData
    from aiida_traincraft.data.reading import find_node, find_output

    node = find_node(identifier)
    if isinstance(node, orm.ProcessNode):
        node = find_output(node, 'manifest')
    if not isinstance(node, ManifestData) or not len(node):
        raise click.BadParameter(
            f'{identifier!r} is no import that came to its end, nor a manifest of labels', param_hint='--import'
        )
    return node


def _weights(
    pairs: tuple[str, ...],
    option: str,
    form: str = 'NAME=WEIGHT, for example bulk=2.5',
    spelled: Callable[[str], str] = str,
) -> dict[str, float]:
    weights: dict[str, float] = {}
    for pair in pairs:
        given, _, number = pair.rpartition('=')
        name = spelled(given)
        if name in weights:
            raise click.BadParameter(f'{name!r} is given twice', param_hint=option)
        try:
            weights[name] = float(number)
        except ValueError:
            name = ''
        if not name:
            raise click.BadParameter(f'{pair!r} is not {form}', param_hint=option)
    return weights


def _element(given: str) -> str:
    """Symbol of an element; what is none is left to the check of the energies."""
    try:
        return str(Element().convert(given, None, None))
    except click.BadParameter:
        return given


def _rehearse(function: Any, **inputs: Any) -> None:
    """Run a calcfunction without provenance: what it refuses leaves no failed process behind."""
    function.__wrapped__(**inputs)


def _make(function: Any, **inputs: Any) -> None:
    from aiida.engine import run_get_node

    node, _ = run_get_node(function, **inputs)
    click.echo(f'{node}: UUID {node.uuid}')
