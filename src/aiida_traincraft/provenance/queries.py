"""Find structures, labels, datasets and potentials by what they are and where they come from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_traincraft.calculations.evaluate import EvaluateCalculation
from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.data.potentials.base import PotentialData
from aiida_traincraft.data.reading import PK, find_node, find_output
from aiida_traincraft.workchains.active_learning import ActiveLearningWorkChain
from aiida_traincraft.workchains.campaign_keys import number_of
from aiida_traincraft.workchains.campaign_products import products

Window = tuple[float | None, float | None]

# Head of each column, with its unit, and what the database calls it.
FRAME_COLUMNS = {
    'uuid': 'uuid',
    'formula': 'attributes.formula',
    'atoms': 'attributes.n_atoms',
    'system': 'attributes.system',
    'group': 'attributes.group',
}
LABEL_COLUMNS = FRAME_COLUMNS | {
    'energy (eV)': 'attributes.energy',
    'energy per atom (eV)': 'attributes.energy_per_atom',
    'max force (eV/Å)': 'attributes.max_force',
    'pressure (eV/Å³)': 'attributes.pressure',
    'level of theory': 'attributes.level_of_theory',
}
DATASET_COLUMNS = {
    'uuid': 'uuid',
    'made': 'ctime',
    'train': 'attributes.n_train',
    'test': 'attributes.n_test',
    'e0': 'attributes.n_e0',
    'levels of theory': 'attributes.levels_of_theory',
    'digest': 'attributes.fingerprint',
}
POTENTIAL_COLUMNS = {
    'uuid': 'uuid',
    'made': 'ctime',
    'type': 'node_type',
    'elements': 'attributes.elements',
    'cutoff (Å)': 'attributes.cutoff',
}
SCORE_HEADS = ('energy RMSE (eV/atom)', 'force RMSE (eV/Å)', 'scored on', 'split')


@dataclass(frozen=True)
class Score:
    """Errors of a potential, as ``traincraft.evaluate`` found them."""

    potential: str
    """UUID."""
    dataset: str
    """UUID of the dataset that it was scored on."""
    digest: str
    """Digest of that dataset."""
    split: str
    errors: dict[str, Any]
    """Output ``errors``: ``overall``, ``per_element`` and ``per_system``, in eV/atom, eV/Å, ...."""


def find_campaigns(name: str | None = None) -> list[orm.WorkChainNode]:
    """Campaigns, newest first, optionally of one name."""
    query = orm.QueryBuilder()
    query.append(ActiveLearningWorkChain, filters={} if name is None else {'label': name}, tag='campaign')
    query.order_by({'campaign': {'id': 'desc'}})
    campaigns: list[orm.WorkChainNode] = query.all(flat=True)
    return campaigns


def load_campaign_node(identifier: str | None = None) -> orm.WorkChainNode:
    """Find a campaign by name (the newest of that name), PK or UUID; without identifier, the newest of all.

    Raises
    ------
    ValueError
        If there is none.
    """
    if identifier is None:
        found = find_campaigns()
        if not found:
            raise ValueError('there is no campaign in this profile yet; start one with "traincraft run FILE"')
        return found[0]
    node = find_named(identifier)
    if node is None:
        names = sorted({campaign.label for campaign in find_campaigns()})
        raise ValueError(f'no campaign {identifier!r} (campaigns here: {", ".join(names) or "none"})')
    if not is_campaign(node):
        raise ValueError(f'node {identifier} is no campaign but {node}')
    campaign: orm.WorkChainNode = node
    return campaign


def find_named(identifier: str) -> orm.Node | None:
    """Campaign of this name, the newest of several, else the node of this PK or UUID (or its beginning), or None."""
    found = [] if PK.fullmatch(identifier) else find_campaigns(identifier)
    return found[0] if found else find_node(identifier)


def is_campaign(node: orm.Node | None) -> bool:
    """Whether a node is a campaign."""
    return node is not None and node.process_type == ActiveLearningWorkChain.build_process_type()


def find_product(process: orm.ProcessNode, port: str) -> orm.Data | None:
    """What a process made, by its output port; of a campaign that has no outputs (yet), what is there so far."""
    made = find_output(process, port)
    return products(process).get(port) if made is None and is_campaign(process) else made


def find_structures(
    formula: str | None = None,
    elements: list[str] | None = None,
    system: str | None = None,
    campaign: orm.WorkChainNode | None = None,
    cycle: int | None = None,
) -> orm.QueryBuilder:
    """Structures by formula (Hill), by elements that all must be present, by system, campaign and cycle.

    Cycle 0 is the first structures and the test set; cycle n what the n-th exploration selected.
    """
    return _query(TrainingStructureData, _frame_filters(formula, elements, system), campaign, cycle)


def find_labels(
    formula: str | None = None,
    elements: list[str] | None = None,
    system: str | None = None,
    energy_per_atom: Window = (None, None),
    max_force: Window = (None, None),
    level_of_theory: str | None = None,
    campaign: orm.WorkChainNode | None = None,
    cycle: int | None = None,
) -> orm.QueryBuilder:
    """Labels as :func:`find_structures`, and by energy (eV/atom), largest force (eV/Å) and level of theory (hash)."""
    filters = _frame_filters(formula, elements, system)
    filters |= _window('energy_per_atom', energy_per_atom) | _window('max_force', max_force)
    if level_of_theory is not None:
        filters['attributes.level_of_theory'] = level_of_theory
    return _query(LabelData, filters, campaign, cycle)


def find_datasets(campaign: orm.WorkChainNode | None = None, digest: str | None = None) -> orm.QueryBuilder:
    """Datasets of a campaign or of a digest."""
    filters = {'attributes.fingerprint': digest} if digest else {}
    return _query(DatasetData, filters, campaign, None)


def find_potentials(
    elements: list[str] | None = None, campaign: orm.WorkChainNode | None = None, has_active_set: bool | None = None
) -> orm.QueryBuilder:
    """Potentials by elements that all must be known, by campaign, and by whether they have an active set."""
    filters: dict[str, Any] = {'attributes.elements': {'contains': elements}} if elements else {}
    if has_active_set is not None:
        filters['attributes.has_active_set'] = has_active_set
    return _query(PotentialData, filters, campaign, None)


def find_scores(potentials: Sequence[str]) -> list[Score]:
    """Scores of potentials (UUIDs), oldest first."""
    if not potentials:
        return []
    query = orm.QueryBuilder()
    query.append(PotentialData, filters={'uuid': {'in': list(potentials)}}, tag='potential', project='uuid')
    query.append(
        EvaluateCalculation,
        with_incoming='potential',
        edge_filters={'label': 'potential'},
        tag='score',
        project=[],
    )
    query.append(DatasetData, with_outgoing='score', project=['uuid', 'attributes.fingerprint'])
    query.append(orm.Str, with_outgoing='score', edge_filters={'label': 'split'}, project='attributes.value')
    query.append(orm.Dict, with_incoming='score', edge_filters={'label': 'errors'}, project='attributes')
    query.order_by({'score': 'id'})
    return [Score(*row) for row in query.all()]


def rows(query: orm.QueryBuilder, columns: dict[str, str], limit: int | None = None) -> list[list[Any]]:
    """Values of what a query finds, in the order of the columns, without loading a node.

    Parameters
    ----------
    query
        What one of the functions above gave.
    columns
        Head and projection of each column.
    limit
        Most rows.
    """
    query.add_projection('node', list(columns.values()))
    if limit is not None:
        query.limit(limit)
    # All at once: while a query is half read, SQLite lets nobody write, and a reader may be a pager.
    found: list[list[Any]] = query.all()
    return found


def potential_rows(query: orm.QueryBuilder, limit: int | None = None) -> Iterator[list[Any]]:
    """Values of potentials: ``POTENTIAL_COLUMNS``, then ``SCORE_HEADS``; a row per score, one where there is none."""
    found = rows(query, POTENTIAL_COLUMNS, limit)
    scores: dict[str, list[Score]] = defaultdict(list)
    for score in find_scores([row[0] for row in found]):
        scores[score.potential].append(score)
    for uuid, made, kind, *facts in found:
        row = [uuid, made, kind.rstrip('.').rpartition('.')[2], *facts]
        for score in scores[uuid]:
            rmse = [score.errors['overall'][name]['rmse'] for name in ('energy', 'forces')]
            yield [*row, *rmse, score.dataset, score.split]
        if not scores[uuid]:
            yield [*row, *[None] * len(SCORE_HEADS)]


def _frame_filters(formula: str | None, elements: list[str] | None, system: str | None) -> dict[str, Any]:
    given = {'formula': formula, 'system': system}
    filters: dict[str, Any] = {f'attributes.{key}': value for key, value in given.items() if value is not None}
    if elements:
        filters['attributes.elements'] = {'contains': elements}
    return filters


def _window(name: str, window: Window) -> dict[str, Any]:
    # Always float: an integer bound makes SQLite compare truncated numbers.
    bounds = [{sign: float(bound)} for sign, bound in zip(('>=', '<='), window, strict=True) if bound is not None]
    return {f'attributes.{name}': {'and': bounds}} if bounds else {}


def _query(
    node_class: type[orm.Data], filters: dict[str, Any], campaign: orm.WorkChainNode | None, cycle: int | None
) -> orm.QueryBuilder:
    if cycle is not None and campaign is None:
        raise ValueError('a cycle is counted within a campaign: give the campaign too')
    query = orm.QueryBuilder()
    if campaign is not None:
        creators = _calculations(campaign, cycle) or [-1]
        query.append(orm.CalculationNode, filters={'id': {'in': creators}}, tag='creator', project=[])
        query.append(
            node_class,
            with_incoming='creator',
            edge_filters={'type': LinkType.CREATE.value},
            filters=filters,
            project='*',
            tag='node',
        )
    else:
        query.append(node_class, filters=filters, project='*', tag='node')
    query.order_by({'node': 'id'})
    return query


def _calculations(campaign: orm.WorkChainNode, cycle: int | None) -> list[int]:
    """PKs of calculations that a campaign called, directly or through its WorkChains; no node is loaded."""
    found: list[int] = []
    callers, wanted = [campaign.pk], cycle
    while callers:
        query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'id': {'in': callers}}, tag='caller', project=[])
        query.append(orm.ProcessNode, with_incoming='caller', edge_project='label', project=['id', 'node_type'])
        called = [row for row in query.all() if wanted is None or number_of(row[2]) == wanted]
        callers = [pk for pk, kind, _ in called if kind == orm.WorkChainNode.class_node_type]
        found += [pk for pk, kind, _ in called if kind != orm.WorkChainNode.class_node_type]
        # Only the campaign's own calls are named by cycle.
        wanted = None
    return found
