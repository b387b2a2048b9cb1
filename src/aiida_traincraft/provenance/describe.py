"""One line about a node."""

from __future__ import annotations

import json
from typing import Any

from aiida import orm

from aiida_traincraft.data.frames.base import FrameMixin
from aiida_traincraft.data.frames.structure import TrainingStructureData

IMPORT_PROCESS_LABEL = 'import_frames'
IMPORT_PROCESS_TYPE = f'aiida_traincraft.exchange.imports.{IMPORT_PROCESS_LABEL}'
CAMPAIGN_SECTIONS = ('run', 'systems', 'labelling', 'training')


def describe(node: orm.Node) -> str:
    """One line about a node."""
    name = f'<{node.pk}>'
    if isinstance(node, orm.ProcessNode):
        code = _input(node, 'code')
        return f'{node.process_label}{name}' + (f' with code {code.full_label}' if code else _files_text(node))
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


def _input(process: orm.ProcessNode, label: str) -> Any:
    """Input of a label, without looking at the others: there may be 10^5."""
    link = process.base.links.get_incoming(link_label_filter=label).first()
    return link.node if link else None


def _files_text(process: orm.ProcessNode) -> str:
    """Files of an import and the keys under which they held the labels; empty for another process."""
    if process.process_type != IMPORT_PROCESS_TYPE:
        return ''
    source = _input(process, 'source')
    report = process.base.links.get_outgoing(link_label_filter='report').first()
    keys = f' (keys {", ".join(sorted(report.node["keys"]))})' if report else ''
    return f' of {", ".join(file["name"] for file in source["files"])}{keys}'


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
    return set(CAMPAIGN_SECTIONS) <= content.keys()


def _dict_text(content: dict[str, Any]) -> str:
    if _is_campaign(content):
        run = content['run']
        return f'campaign config {run["name"]!r}, seed {run["seed"]}'
    text = json.dumps(content, sort_keys=True)
    return text if len(text) <= 160 else text[:157] + '...'
