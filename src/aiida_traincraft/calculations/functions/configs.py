"""What a student learns from: the campaign's config with other parts, and the structures of a dataset."""

from __future__ import annotations

import copy

from aiida import orm
from aiida.engine import calcfunction

from aiida_traincraft.data.potentials.base import PotentialData
from aiida_traincraft.science.campaign.validators import with_geometries


@calcfunction
def distillation_config(config: orm.Dict, potential: PotentialData) -> orm.Dict:
    """Config of a distillation: the potential labels, the student is trained.

    Parameters
    ----------
    config
        Campaign with a section ``distillation``.
    potential
        The teacher; only frames that it is sure of (below the upper threshold of the exploration) are labelled.
    """
    content = copy.deepcopy(config.get_dict())
    section, exploration = content['distillation'], content['exploration']
    sure = []
    if potential.measure is not None and not potential.is_degenerate:
        sure = [{'type': 'uncertainty', 'lo': 0.0, 'hi': exploration[f'{potential.measure}_hi']}]
    stages = [{'type': 'physicality'}, {'type': 'dedup'}, *sure, {'type': 'diversity', 'fraction': 1.0}]
    exploration |= {key: section[key] for key in ('runs_per_system', 'record_interval')}
    content |= {
        'training': section['training'],
        'selection': {'budget': section['structures'], 'stages': stages},
        'labelling': {
            'type': 'potential',
            'potential': potential.uuid,
            'batch_size': section['structures'],
            'max_failed_fraction': content['labelling']['max_failed_fraction'],
            'min_distance': content['labelling']['min_distance'],
        },
        'distillation': None,
    }
    return orm.Dict(content)


@calcfunction
def take_section(config: orm.Dict) -> orm.Dict:
    """Take the section ``[validation]`` out of a campaign, with geometries in the place of its systems' names."""
    content = config.get_dict()
    return orm.Dict(with_geometries(content['validation'], content))


@calcfunction
def dielectric_config(config: orm.Dict) -> orm.Dict:
    """Config of a campaign that trains its model of dipoles in the place of the potential."""
    content = config.get_dict()
    return orm.Dict(
        content | {'training': content['validation']['dielectric'], 'validation': None, 'distillation': None}
    )
