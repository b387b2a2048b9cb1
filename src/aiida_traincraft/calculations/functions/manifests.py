"""Lists of nodes that are joined or taken from datasets."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.data.reading import QUERY_CHUNK


@calcfunction
def merge_manifests(**manifests: ManifestData) -> ManifestData:
    """Join manifests in the order of their keys."""
    nodes = [node for _, node in sorted(manifests.items())]
    return ManifestData([u for node in nodes for u in node.uuids], [f for node in nodes for f in node.fingerprints])


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
