"""``traincraft why``: from any node to the config, seeds, codes and label processes that shaped it."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_traincraft.data.frame import FrameMixin
from aiida_traincraft.data.label import LabelData
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.data.reading import QUERY_CHUNK
from aiida_traincraft.data.structure import TrainingStructureData
from aiida_traincraft.provenance.dft import describe_calculation

# Links to the members of a manifest end in a number of six digits behind two underscores; they are shown folded.
MEMBERS, MEMBER_DIGITS = '__', 6


@dataclass
class Step:
    """A node of the lineage and what it was made from."""

    text: str
    children: list[Step] = field(default_factory=list)
    cut: bool = False
    """Whether something above it is not shown, for want of depth."""


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
    links = creator.base.links.get_incoming(link_type=(LinkType.INPUT_CALC, LinkType.INPUT_WORK)).all()
    for prefix, count, example in _members(links):
        inner = lineage(example, depth - 1, seen)
        made.children.append(Step(f'{prefix}: {count} nodes, one of them:', [inner], inner.cut))
    for link in sorted(links, key=lambda link: link.link_label):
        if _member_prefix(link.link_label) is None:
            inner = lineage(link.node, depth - 1, seen)
            made.children.append(Step(f'{link.link_label}: {inner.text}', inner.children, inner.cut))
    made.cut = step.cut = any(child.cut for child in made.children)
    if not step.cut:
        seen[node.uuid] = math.inf
    return step


def ancestors(node: orm.Node) -> set[int]:
    """PKs of everything that a node was made from, through data and calculations, the node itself left out.

    One query per level, each node once. AiiDA's own ``with_descendants`` follows every path: in a graph where each
    cycle's structures descend from all labels before, their number grows as a power of the cycle.
    """
    found: set[int] = set()
    frontier = {int(node.pk)}
    while frontier:
        above: set[int] = set()
        members = sorted(frontier)
        for start in range(0, len(members), QUERY_CHUNK):
            query = orm.QueryBuilder()
            query.append(orm.Node, filters={'id': {'in': members[start : start + QUERY_CHUNK]}}, tag='node', project=[])
            query.append(
                orm.Node,
                with_outgoing='node',
                edge_filters={'type': {'in': [LinkType.CREATE.value, LinkType.INPUT_CALC.value]}},
                project=['id'],
            )
            above |= set(query.all(flat=True))
        frontier = above - found
        found |= frontier
    return found


def label_processes(node: orm.Data) -> Counter[str]:
    """UUIDs of the processes that made the labels a node descends from, and how many labels each made."""
    query = orm.QueryBuilder()
    query.append(LabelData, filters={'id': {'in': sorted(ancestors(node)) or [-1]}}, tag='label', project=['id'])
    query.append(
        orm.CalculationNode, with_outgoing='label', edge_filters={'type': LinkType.CREATE.value}, project='uuid'
    )
    return Counter(uuid for _, uuid in query.iterall())


def origins(node: orm.Data) -> dict[str, list[str]]:
    """What a node rests on, in words: config and seed, codes, levels of theory, labelled structures, labels."""
    above = {'id': {'in': sorted(ancestors(node)) or [-1]}}

    def found(*classes: type[orm.Node]) -> list[orm.Node]:
        nodes: list[orm.Node] = orm.QueryBuilder().append(classes, filters=above).all(flat=True)
        return nodes

    # Through their labels: structures of the test set are above too, as those that must not be chosen.
    systems = Counter(orm.QueryBuilder().append(LabelData, filters=above, project='attributes.system').all(flat=True))
    made = label_processes(node)
    facts = {
        'calculation': describe_calculation(node) if isinstance(node, LabelData) else [],
        'config': [describe(item) for item in found(orm.Dict) if _is_campaign(item.get_dict())],
        'codes': [describe(item) for item in found(orm.InstalledCode, orm.PortableCode, orm.ContainerizedCode)],
        'levels of theory': [describe(item) for item in found(LevelOfTheoryData)],
        'labelled structures': [f'{count} of {system}' for system, count in sorted(systems.items(), key=str)],
        'labels': [f'{count} by {describe(orm.load_node(uuid))}' for uuid, count in made.items()],
    }
    return {key: lines for key, lines in facts.items() if lines}


def describe(node: orm.Node) -> str:
    """One line about a node."""
    name = f'<{node.pk}>'
    if isinstance(node, orm.ProcessNode):
        code = node.inputs.code.full_label if 'code' in node.inputs else ''
        return f'{node.process_label}{name}' + (f' with code {code}' if code else '')
    if isinstance(node, orm.AbstractCode):
        return f'code {node.full_label}{name}'
    if isinstance(node, TrainingStructureData):
        return f'{node}{name}{_origin(node)}'
    if isinstance(node, orm.Dict):
        return f'{_dict_text(node.get_dict())} {name}'
    if isinstance(node, (orm.Int, orm.Float, orm.Str)):
        return f'{node.value} {name}'
    if isinstance(node, FrameMixin) or type(node).__module__.startswith('aiida_traincraft'):
        return f'{node}{name}'
    return f'{type(node).__name__}{name}'


def _members(links: list[Any]) -> list[tuple[str, int, orm.Node]]:
    groups: dict[str, list[Any]] = {}
    for link in links:
        if (prefix := _member_prefix(link.link_label)) is not None:
            groups.setdefault(prefix, []).append(link)
    return [(prefix, len(found), min(found, key=lambda link: link.link_label).node) for prefix, found in groups.items()]


def _member_prefix(label: str) -> str | None:
    prefix, _, number = label.rpartition(MEMBERS)
    return prefix if prefix and number.isdigit() and len(number) == MEMBER_DIGITS else None


def _origin(node: TrainingStructureData) -> str:
    """How the structure was sampled and why it was selected."""
    facts = node.get_structure().provenance
    shown = {
        'sampler': facts.get('sampler'),
        'step': facts.get('step'),
        'T': f'{facts["temperature"]:.0f} K' if facts.get('temperature') is not None else None,
        'uncertainty': f'{facts["uncertainty"]:.2f}' if facts.get('uncertainty') is not None else None,
        'selected by': facts.get('selected_by'),
        'seed': facts.get('seed'),
    }
    return ' ' + ', '.join(f'{key} {value}' for key, value in shown.items() if value is not None)


def _is_campaign(content: dict[str, Any]) -> bool:
    return {'run', 'systems', 'labelling', 'training'} <= content.keys()


def _dict_text(content: dict[str, Any]) -> str:
    if _is_campaign(content):
        run = content['run']
        return f'campaign config {run["name"]!r}, seed {run["seed"]}'
    text = json.dumps(content, sort_keys=True)
    return text if len(text) <= 160 else text[:157] + '...'
