"""Draw the provenance graph of a finished campaign, its members folded: the picture in the README.

Every box and arrow is read from the database. Needs Graphviz' ``dot``::

    python docs/provenance_graph.py -p traincraft demo docs/images/provenance.svg
"""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aiida import load_profile, orm
from aiida.common.links import LinkType

from aiida_traincraft import (
    DatasetData,
    FramesData,
    LabelData,
    LevelOfTheoryData,
    PacePotentialData,
    TrainingStructureData,
    load_campaign_node,
)
from aiida_traincraft.provenance.campaign import children
from aiida_traincraft.workchains.campaign_keys import number_of

FONT = 'Helvetica,Arial,sans-serif'
# Fill and border by node type; what is not listed (manifests, ledgers, parameters, retrieved folders) is not drawn.
COLOURS = {
    FramesData: ('frames', '#e3f1fb', '#6aaed6'),
    TrainingStructureData: ('structures', '#bcdcf3', '#2f7fb8'),
    LabelData: ('labels', '#cfe9c8', '#4f9d45'),
    DatasetData: ('dataset', '#fdebb3', '#d0a21c'),
    PacePotentialData: ('potential', '#fbd0b5', '#d9722e'),
    LevelOfTheoryData: ('config, level of theory', '#e6e0f0', '#8672ad'),
}
INK, SMALL = '#1a202c', 11
PROCESS = ('#4a5568', '#2d3748')
HIDDEN = ('merge_ledgers', 'merge_manifests')


@dataclass
class Group:
    """Nodes that share one box."""

    cycle: int
    label: str
    members: dict[int, orm.Node] = field(default_factory=dict)
    again: bool = False

    @property
    def node_class(self) -> type:
        """Class of the members."""
        return type(next(iter(self.members.values())))


class Graph:
    """Groups of equal nodes by cycle, and the links between them.

    A node that another cycle made is drawn again, dashed, where it is used: no arrow crosses the picture.
    """

    def __init__(self, campaign: orm.WorkChainNode) -> None:
        self.groups: dict[str, Group] = {}
        self.edges: set[tuple[str, str]] = set()
        calculations = list(calculations_of(campaign))
        creators: dict[int, str] = {}
        for cycle, branch, node in calculations:
            process = self._add(f'{cycle} {branch} {node.process_label}', cycle, '', node)
            for link in node.base.links.get_outgoing(link_type=LinkType.CREATE).all():
                if drawn(link.node, link.link_label):
                    name = f'{process} {link.link_label.partition("__")[0]}'
                    creators[link.node.pk] = self._add(name, cycle, link.link_label, link.node)
                    self.edges.add((process, name))
        for cycle, branch, node in calculations:
            process = f'{cycle} {branch} {node.process_label}'
            for link in node.base.links.get_incoming(link_type=LinkType.INPUT_CALC).all():
                if not drawn(link.node, link.link_label):
                    continue
                name = creators.get(link.node.pk)
                if name is None or self.groups[name].cycle != cycle:
                    name = self._add(f'{cycle} again {link.node.pk}', cycle, link.link_label, link.node)
                    self.groups[name].again = cycle > 0
                self.edges.add((name, process))

    def _add(self, name: str, cycle: int, label: str, node: orm.Node) -> str:
        self.groups.setdefault(name, Group(cycle, label)).members[node.pk] = node
        return name

    @property
    def cycles(self) -> list[int]:
        """Cycles, 0 is what comes before the first."""
        return sorted({group.cycle for group in self.groups.values()})


def calculations_of(campaign: orm.WorkChainNode) -> Iterator[tuple[int, str, orm.CalculationNode]]:
    """Cycle, branch and node of every calculation that is drawn."""
    for key, child in children(campaign).items():
        # Before the first cycle, training and test branch run side by side.
        branch = key.rpartition('_')[2] if number_of(key) == 0 else ''
        for node in (child, *getattr(child, 'called_descendants', [])):
            if isinstance(node, orm.CalculationNode) and node.process_label not in HIDDEN:
                yield number_of(key), branch, node


def drawn(node: orm.Node, label: str) -> bool:
    """Whether a data node is worth a box."""
    return type(node) in COLOURS or label in ('config', 'errors')


def text(group: Group) -> str:
    """HTML-like label of a group: what it is, and in small print how many or by which code."""
    nodes = list(group.members.values())
    node, number = nodes[0], len(nodes)
    if isinstance(node, orm.ProcessNode):
        # "traincraft.pace_linear" of a CalcJob, "build_structures" of a calcfunction.
        name = node.process_type.rpartition('.')[2] if isinstance(node, orm.CalcJobNode) else node.process_label
        times = f' × {number}' if number > 1 else ''
        return lines(name + times, node.inputs.code.label if 'code' in node.inputs else 'calcfunction')
    if isinstance(node, FramesData):
        frames = sum(item.n_frames for item in nodes)
        what = {'systems': 'geometries', 'test_systems': 'geometries', 'result': 'starting points'}
        word = what.get(group.label, 'frames') if frames > 1 else 'geometry'
        return lines(f'{frames} {word}', f'{number} nodes' if number > 1 else 'one node')
    if isinstance(node, DatasetData):
        test = node.count('test')
        return lines('sealed test set' if test else 'dataset', f'{test or node.count("train")} labels')
    if isinstance(node, PacePotentialData):
        functions = sum(node.metrics.get('n_functions', {}).values())
        return lines('ACE potential', 'with active set (γ)' if node.has_active_set else f'{functions} functions')
    if isinstance(node, LevelOfTheoryData):
        return lines('level of theory', str(node.content.get('calculator', {}).get('type', node.hash[:8])))
    if group.label == 'config':
        return lines('campaign config', f'seed {node["run"]["seed"]}')
    if group.label == 'errors':
        return lines('test errors', f'forces {1000 * node["overall"]["forces"]["rmse"]:.1f} meV/Å')
    return lines(f'{number} {"labels" if isinstance(node, LabelData) else "structures"}', 'one node each')


def lines(first: str, second: str) -> str:
    """Two centred lines, the second in small print."""
    return f'<<font point-size="13">{first}</font><br/><font point-size="{SMALL}">{second}</font>>'


def style(node_class: type, again: bool = False) -> str:
    """Graphviz attributes of a box."""
    if issubclass(node_class, orm.ProcessNode):
        fill, border = PROCESS
        return f'style=filled fillcolor="{fill}" color="{border}" fontcolor=white'
    _, fill, border = COLOURS.get(node_class, COLOURS[LevelOfTheoryData])
    return f'style="filled,rounded{",dashed" if again else ""}" fillcolor="{fill}" color="{border}"'


def to_dot(graph: Graph) -> str:
    """Graphviz source: the start, the first cycle and the last one as columns, a legend below the last."""
    last = graph.cycles[-1]
    number = {name: f'n{index}' for index, name in enumerate(graph.groups)}
    out = [
        'digraph provenance {',
        f'graph [fontname="{FONT}" fontsize=14 nodesep=0.1 ranksep=0.2 bgcolor=white pad=0.1]',
        f'node [shape=box fontname="{FONT}" fontcolor="{INK}" margin="0.07,0.04" height=0.2 penwidth=1.2]',
        'edge [color="#718096" arrowsize=0.6]',
    ]
    for cycle in sorted({0, 1, last}):
        title = f'cycle {cycle}' if cycle else 'start'
        if cycle == last > 2:
            between = 'cycle 2' if last == 3 else f'cycles 2 to {last - 1}'
            out.append(f'between [shape=plaintext label={lines("<b>⋯</b>", between)}]')
        out.append(f'subgraph cluster_{cycle} {{ label=<<b>{title}</b>> style=rounded color="#cbd5e0" margin=6')
        for name, group in graph.groups.items():
            if group.cycle == cycle:
                out.append(f'{number[name]} [label={text(group)} {style(group.node_class, group.again)}]')
        out.append('}')
        edges = [edge for edge in sorted(graph.edges) if graph.groups[edge[0]].cycle == cycle]
        out += [f'{number[start]} -> {number[end]}' for start, end in edges]
    errors = [number[name] for name, group in graph.groups.items() if group.label == 'errors' and group.cycle == last]
    return '\n'.join([*out, *legend(errors[0] if errors else None), '}'])


def legend(below: str | None) -> list[str]:
    """Boxes that explain the colours, under a box of the last column."""
    entries = [('process, with its code', style(orm.ProcessNode))]
    entries += [(name, style(node_class)) for node_class, (name, _, _) in COLOURS.items()]
    entries.append(('dashed: node of another column', 'style="filled,rounded,dashed" fillcolor=white color="#718096"'))
    out, above = [], below
    for index, (name, look) in enumerate(entries):
        out.append(f'legend{index} [label=<<font point-size="{SMALL}">{name}</font>> width=2.3 {look}]')
        if above is not None:
            out.append(f'{above} -> legend{index} [style=invis minlen={2 if index == 0 else 1}]')
        above = f'legend{index}'
    return out


def main() -> None:
    """Read a campaign and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('-p', '--profile', help='AiiDA profile; the default profile without it')
    parser.add_argument('campaign', nargs='?', help='name, PK or UUID; the newest without it')
    parser.add_argument('output', type=Path, help='file to write; its suffix decides the format (svg, png, pdf)')
    arguments = parser.parse_args()
    load_profile(arguments.profile)
    campaign = load_campaign_node(arguments.campaign)
    graph = Graph(campaign)
    subprocess.run(
        ['dot', f'-T{arguments.output.suffix[1:]}', '-o', arguments.output],
        input=to_dot(graph).encode(),
        check=True,
    )
    members = sum(len(group.members) for group in graph.groups.values() if not group.again)
    print(f'{arguments.output}: {members} nodes of {campaign.label!r} folded into {len(graph.groups)} boxes')


if __name__ == '__main__':
    main()
