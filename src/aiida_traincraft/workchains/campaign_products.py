"""What a campaign has made, whatever became of it."""

from __future__ import annotations

from aiida import orm
from aiida.common.links import LinkType

from aiida_traincraft.calculations.base import is_poor
from aiida_traincraft.workchains import campaign_keys as keys


def products(campaign: orm.WorkChainNode) -> dict[str, orm.Data]:
    """What a campaign has made so far, by output port, read from its children: finished, failed or killed alike."""
    links = campaign.base.links.get_outgoing(link_type=(LinkType.CALL_CALC, LinkType.CALL_WORK)).all()
    found: dict[str, orm.Data] = {}
    for link in sorted(links, key=lambda link: int(link.node.pk)):
        key, child = link.link_label, link.node
        if not child.is_finished_ok and not is_poor(child):
            continue
        if key == keys.first_dataset('test'):
            found['test_set'] = child.outputs.result
        elif key == keys.first_dataset('train'):
            found['dataset'] = child.outputs.result
        elif keys.kind_of(key) == 'train':
            # The dataset that belongs to the potential, not one that grew since.
            found |= {'potential': child.outputs.potential, 'dataset': child.inputs.dataset}
            found |= {'errors': child.outputs.errors} if 'errors' in child.outputs else {}
        elif key == keys.DISTIL:
            found |= {port: child.outputs[port] for port in child.outputs}
    return found
