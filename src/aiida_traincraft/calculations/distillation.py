"""What a student learns from: the campaign's config with other parts, and the structures of a dataset."""

from __future__ import annotations

import copy

from aiida import orm
from aiida.engine import calcfunction

from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.data.potential import PotentialData
from aiida_traincraft.data.reading import QUERY_CHUNK
from aiida_traincraft.data.structure import TrainingStructureData


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
def structures_of(dataset: DatasetData) -> ManifestData:
    """Structures that the labels of a dataset belong to, isolated atoms included, without their labels."""
    wanted = [row.structure for row in dataset.rows]
    found: dict[str, str] = {}
    for start in range(0, len(wanted), QUERY_CHUNK):
        filters = {'label': {'in': wanted[start : start + QUERY_CHUNK]}}
        query = orm.QueryBuilder().append(TrainingStructureData, filters=filters, project=['label', 'uuid'], tag='node')
        found |= dict(query.order_by({'node': 'id'}).iterall())
    known = [fingerprint for fingerprint in wanted if fingerprint in found]
    return ManifestData([found[fingerprint] for fingerprint in known], known)
