"""``traincraft why``: from any node to the config, seeds, codes and label processes that shaped it."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.provenance.describe import CAMPAIGN_SECTIONS, describe
from aiida_traincraft.provenance.dft import describe_calculation

# Links to the members of a batch end in a number of six digits or more behind two underscores: they are shown folded.
MEMBERS, FIRST_MEMBER = '__', '000000'
# Labels of these inputs are kept from the training, not trained on.
SEALED_INPUTS = ('test_set', 'sealed')
CODES = (orm.InstalledCode, orm.PortableCode, orm.ContainerizedCode)
CREATED, USED = {'type': LinkType.CREATE.value}, {'type': LinkType.INPUT_CALC.value}


@dataclass
class Step:
    """A node of the lineage and what it was made from."""

    text: str
    children: list[Step] = field(default_factory=list)
    cut: bool = False
    """Whether something above it is not shown, for want of depth."""


@dataclass(frozen=True)
class Makers:
    """Processes of one kind that made labels."""

    name: str
    n_labels: int
    pks: list[int]
    """The processes, in the order in which they began."""


def lineage(node: orm.Node, depth: int, seen: dict[str, float] | None = None) -> Step:
    """Walk from a node up to everything that it was made from.

    Parameters
    ----------
    node
        A structure, label, frames, dataset, potential or any other data node.
    depth
        Processes to go up; what lies above is cut off with "...".

    Returns
    -------
    Step
        The node with its creator's inputs as children; a node shown before, whole or as deep, is not opened again.
    """
    seen = {} if seen is None else seen
    step = Step(describe(node))
    creator = node.creator if isinstance(node, orm.Data) else node
    if creator is None:
        return step
    if seen.get(node.uuid, -1) >= depth:
        return Step(f'{step.text} (above)', cut=math.isfinite(seen[node.uuid]))
    if depth == 0:
        return Step(f'{step.text} ...', cut=True)
    seen[node.uuid] = depth
    made = step
    if creator is not node:
        made = Step(f'made by {describe(creator)}')
        step.children.append(made)
    batches, single = inputs_of(creator)
    for prefix, (count, first) in batches.items():
        inner = lineage(first, depth - 1, seen)
        made.children.append(Step(f'{prefix}: {count} nodes, one of them:', [inner], inner.cut))
    for name, item in single.items():
        inner = lineage(item, depth - 1, seen)
        made.children.append(Step(f'{name}: {inner.text}', inner.children, inner.cut))
    made.cut = step.cut = any(child.cut for child in made.children)
    if not step.cut:
        seen[node.uuid] = math.inf
    return step


def inputs_of(process: orm.ProcessNode) -> tuple[dict[str, tuple[int, orm.Node]], dict[str, orm.Node]]:
    """Inputs of a process: number and first of the members of each batch, by prefix; and all others, by label.

    Members are counted by the database, never listed: there may be 10^5.
    """
    first = _inputs(process, {'like': rf'%\_\_{FIRST_MEMBER}'})
    batches = {}
    for label, node in first.items():
        prefix = label.removesuffix(MEMBERS + FIRST_MEMBER)
        batches[prefix] = (_input_query(process, {'like': _members_of(prefix)}).count(), node)
    return batches, _inputs(process, {'and': [{'!like': _members_of(prefix)} for prefix in ('', *batches)]})


def calculations_above(node: orm.Data) -> list[set[int]]:
    """PKs of the calculations that a data node descends from, by level: its creator first.

    One query per level, which joins calculations over their inputs to the calculations that made them: there are few,
    while one of them may have 10^5 inputs. Each is found once. AiiDA's own ``with_descendants`` follows every path: in
    a graph where each cycle's structures descend from all labels before, their number grows as a power of the cycle.
    """
    return _walk(node)[0]


def ancestors(node: orm.Data) -> set[int]:
    """PKs of everything that a data node was made from, through data and calculations, the node itself left out."""
    calculations = set().union(*calculations_above(node))
    data = _above(calculations, orm.Node, project='id').distinct().all(flat=True) if calculations else []
    return calculations | set(data)


def training_sets(node: orm.Data) -> list[DatasetData]:
    """Nearest datasets above a node (itself, if it is one), those left out that only kept labels from the training."""
    return [node] if isinstance(node, DatasetData) else _nearest_datasets(calculations_above(node))


def label_makers(node: orm.Data) -> list[Makers]:
    """Processes that made the labels a node descends from, by kind."""
    levels, makers = _walk(node)
    return _makers(set().union(*levels), makers)


def origins(node: orm.Data) -> dict[str, list[str]]:
    """What a node rests on, in words: config and seed, codes, levels of theory, labelled structures, labels."""
    levels, makers = _walk(node)
    if not levels:
        return {}
    calculations = set().union(*levels)
    query = _above(calculations, (orm.Dict, *CODES, LevelOfTheoryData), project=['id', 'node_type']).distinct()
    kinds = dict(query.all())
    # Only then by content: there may be as many parameters as jobs.
    configs = orm.QueryBuilder().append(
        orm.Dict,
        filters={
            'id': {'in': list(kinds) or [-1]},
            'attributes': {'and': [{'has_key': key} for key in CAMPAIGN_SECTIONS]},
        },
        project='id',
    )

    def found(*classes: type[orm.Data]) -> list[str]:
        types = [item.class_node_type for item in classes]
        return [describe(orm.load_node(pk)) for pk, kind in sorted(kinds.items()) if kind in types]

    systems: Counter[str] = Counter()
    for dataset in [node] if isinstance(node, DatasetData) else _nearest_datasets(levels):
        systems.update(dataset.systems)
    facts = {
        'calculation': describe_calculation(node) if isinstance(node, LabelData) else [],
        'config': [describe(orm.load_node(pk)) for pk in sorted(configs.all(flat=True))],
        'codes': found(*CODES),
        'levels of theory': found(LevelOfTheoryData),
        'labelled structures': [f'{count} of {name or "no system"}' for name, count in sorted(systems.items())],
        'labels': [_makers_text(item) for item in _makers(calculations, makers)],
    }
    return {key: lines for key, lines in facts.items() if lines}


def _above(
    calculations: Collection[int],
    classes: Any,
    edges: dict[str, Any] | None = None,
    **options: Any,
) -> orm.QueryBuilder:
    """Query of the inputs of calculations."""
    query = orm.QueryBuilder()
    query.append(orm.Node, filters={'id': {'in': sorted(calculations)}}, tag='calculation', project=[])
    query.append(classes, with_outgoing='calculation', edge_filters=USED | (edges or {}), **options)
    return query


def _input_query(process: orm.ProcessNode, label: dict[str, Any]) -> orm.QueryBuilder:
    query = orm.QueryBuilder().append(orm.ProcessNode, filters={'id': process.pk}, tag='process', project=[])
    kinds = [LinkType.INPUT_CALC.value, LinkType.INPUT_WORK.value]
    query.append(
        orm.Data,
        with_outgoing='process',
        edge_filters={'type': {'in': kinds}, 'label': label},
        edge_project='label',
        project='*',
    )
    return query


def _inputs(process: orm.ProcessNode, label: dict[str, Any]) -> dict[str, orm.Node]:
    """Inputs whose link labels pass a filter, by label."""
    return {label: node for node, label in sorted(_input_query(process, label).all(), key=lambda row: row[1])}


def _members_of(prefix: str) -> str:
    """Pattern of the labels of a batch's members; matches nothing for no prefix."""
    escaped = prefix.replace('_', r'\_')
    return rf'{escaped}\_\_%'


def _nearest_datasets(levels: list[set[int]]) -> list[DatasetData]:
    for level in levels:
        query = _above(level, DatasetData, {'label': {'!in': list(SEALED_INPUTS)}}, project='id').distinct()
        if pks := query.all(flat=True):
            return [orm.load_node(pk) for pk in sorted(pks)]
    return []


def _walk(node: orm.Data) -> tuple[list[set[int]], set[int]]:
    """Calculations above a node by level, and those among them that made the labels above it."""
    query = orm.QueryBuilder().append(orm.Node, filters={'id': node.pk}, tag='data', project=[])
    query.append(orm.Node, with_outgoing='data', edge_filters=CREATED, project='id')
    level = set(query.all(flat=True))
    levels: list[set[int]] = []
    found: set[int] = set()
    makers: set[int] = set()
    while level:
        levels.append(level)
        found |= level
        # Any node: its type would be compared for each of 10^5 inputs, and the links leave no other.
        query = _above(level, orm.Node, tag='data', project='node_type')
        query.append(orm.Node, with_outgoing='data', edge_filters=CREATED, project='id').distinct()
        rows = query.all()
        makers |= {pk for kind, pk in rows if kind == LabelData.class_node_type}
        level = {pk for _, pk in rows} - found
    return levels, makers


def _makers(calculations: set[int], makers: set[int]) -> list[Makers]:
    if not makers:
        return []
    query = orm.QueryBuilder().append(
        orm.Node, filters={'id': {'in': list(makers)}}, project=['attributes.process_label', 'id']
    )
    kinds: dict[str, list[int]] = defaultdict(list)
    for name, pk in sorted(query.iterall()):
        kinds[name].append(pk)
    found = []
    for name, pks in kinds.items():
        labels = _above(calculations, LabelData, tag='label', project='id').distinct()
        made_by = {'id': {'in': pks}}
        labels.append(orm.Node, with_outgoing='label', edge_filters=CREATED, filters=made_by, project=[])
        found.append(Makers(name, labels.count(), pks))
    return found


def _makers_text(makers: Makers) -> str:
    first = describe(orm.load_node(makers.pks[0]))
    return f'{makers.n_labels} by {first}' + (f' and {len(makers.pks) - 1} more like it' if makers.pks[1:] else '')
