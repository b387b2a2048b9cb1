"""Labels of a campaign that were tried again after it had ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_traincraft.calculations.functions.ledgers import failed_structures, unlabelled
from aiida_traincraft.data.ledger import LedgerData, LedgerRow
from aiida_traincraft.data.level_of_theory import differences
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.workchains import campaign_keys as keys
from aiida_traincraft.workchains.label import LabelWorkChain
from aiida_traincraft.workchains.seams.labeller import labeller_of


def ledgers(campaign: orm.WorkChainNode) -> list[LedgerData]:
    """Ledgers of a campaign's labellings, then of its retries, in the order in which they were made."""
    links = campaign.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all()
    own = [link.node for link in links if keys.kind_of(link.link_label) == 'label']
    members = sorted([*own, *retries(campaign)], key=lambda node: int(node.pk))
    return [node.outputs.ledger for node in members if 'ledger' in node.outputs]


def retries(campaign: orm.WorkChainNode) -> list[orm.WorkChainNode]:
    """Labellings of what had failed in a campaign, oldest first."""
    query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'id': campaign.pk}, tag='campaign', project=[])
    query.append(
        LabelWorkChain,
        with_incoming='campaign',
        edge_filters={'type': LinkType.CALL_WORK.value},
        tag='labelling',
        project=[],
    )
    query.append(LedgerData, with_incoming='labelling', tag='ledger', project=[])
    query.append(
        orm.CalcFunctionNode,
        with_incoming='ledger',
        filters={'attributes.process_label': failed_structures.__name__},
        tag='left',
        project=[],
    )
    query.append(ManifestData, with_incoming='left', tag='manifest', project=[])
    query.append(LabelWorkChain, with_incoming='manifest', tag='retry', project='*')
    found = {int(node.pk): node for node in query.all(flat=True)}
    return [found[pk] for pk in sorted(found)]


def failed_rows(campaign: orm.WorkChainNode) -> list[LedgerRow]:
    """Ledger rows of the structures that have no label to this day."""
    return unlabelled(ledgers(campaign))


def level_change(campaign: orm.WorkChainNode, inputs: Mapping[str, Any]) -> str:
    """In what the level of theory would be another if failed labels of a campaign were made again; empty if in nothing.

    Parameters
    ----------
    campaign
        The campaign.
    inputs
        Inputs ``config``, ``codes`` and ``plugins`` of the retry.
    """
    given = {'the campaign': campaign.inputs, 'the retry': inputs}
    types = {name: {'type': found['config']['labelling']['type']} for name, found in given.items()}
    if change := differences(types):
        return change
    structures = [orm.load_node(row.structure) for row in failed_rows(campaign)]
    elements = frozenset(element for structure in structures for element in structure.elements)
    sections = {name: parse_plugin('labeller', found['config']['labelling']) for name, found in given.items()}
    return differences(
        {name: labeller_of(sections[name]).level_of_theory(found, elements) for name, found in given.items()}
    )
