"""Sources that a job cannot read again, fetched once at launch: a campaign holds what it found, as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.common import exceptions

from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.filters import float_numbers
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.data.reading import find_node, read_structures
from aiida_traincraft.science import registry
from aiida_traincraft.science.config.base import from_json
from aiida_traincraft.science.config.campaign import CampaignConfig
from aiida_traincraft.science.config.systems import GeometryConfig
from aiida_traincraft.science.errors import ConfigError, ConfigIssue
from aiida_traincraft.science.geometry.sources.aiida import AiidaSourceConfig
from aiida_traincraft.science.geometry.sources.dataset import DatasetSourceConfig
from aiida_traincraft.science.seeds import derive_seed
from aiida_traincraft.science.structure import Structure, write_frames
from aiida_traincraft.science.workspace import Workspace


def freeze_sources(config: CampaignConfig, folder: Path, store: Path) -> CampaignConfig:
    """Replace the sources that read the network or the profile by files of what they give now.

    Parameters
    ----------
    config
        The campaign as given.
    folder
        Folder that its relative paths refer to.
    store
        Folder for the files.

    Returns
    -------
    CampaignConfig
        With sources ``frames``, which name the source that they stand for.

    Raises
    ------
    ConfigError
        For every source that gives nothing, with its key.
    """
    content = config.model_dump(mode='json')
    issues: list[ConfigIssue] = []
    for place, tables, systems in (
        ('systems', content['systems'], config.systems),
        ('test_set.systems', content['test_set']['systems'], config.test_set.systems),
    ):
        for index, (table, system) in enumerate(zip(tables, systems, strict=True)):
            source = system.geometry.source
            if source is None or not source.at_launch:
                continue
            seed = derive_seed(config.run.seed, 'geometry', system.name)
            try:
                structures = _fetch(system.geometry, Workspace(folder), seed)
            except Exception as error:
                # A library behind a source may raise anything; here it is a fault of the config or of the network.
                issues.append(ConfigIssue(f'{place}[{index}].geometry.source', str(error) or type(error).__name__))
                continue
            path = store / f'{place.replace(".", "_")}_{index}.frames'
            write_frames(path, structures)
            table['geometry']['source'] = {
                'type': 'frames',
                'path': str(path),
                'fetched': table['geometry']['source'],
            }
    if issues:
        raise ConfigError(issues, config.run.name)
    return from_json(CampaignConfig, content)


def _fetch(geometry: GeometryConfig, workspace: Workspace, seed: int) -> list[Structure]:
    source = geometry.source
    assert source is not None
    rng = np.random.default_rng(seed).spawn(1)[0]
    if isinstance(source, AiidaSourceConfig):
        found = _of_database(source, rng)
    elif isinstance(source, DatasetSourceConfig):
        found = _of_dataset(source, rng)
    else:
        made = registry.get('source', source.type).function(source, workspace, rng)
        found = [made] if isinstance(made, Structure) else list(made)
    if not found:
        raise ValueError(f'source {source.type!r} gave no structure')
    return found


def _of_database(config: AiidaSourceConfig, rng: np.random.Generator) -> list[Structure]:
    if config.uuid is not None:
        node = find_node(config.uuid)
        if not isinstance(node, orm.StructureData | LabelData):
            raise ValueError(f'"uuid": {config.uuid!r} is no structure or label of this profile')
        return _of_nodes([node.uuid])
    query = orm.QueryBuilder()
    if config.group is not None:
        query.append(orm.Group, filters={'label': config.group}, tag='group')
        if not query.count():
            raise ValueError(f'"group": there is no group {config.group!r} in this profile')
        query.append((orm.StructureData, TrainingStructureData), with_group='group', project='uuid', tag='node')
    else:
        query.append(TrainingStructureData, filters=float_numbers(config.filters), project='uuid', tag='node')
    query.order_by({'node': 'id'})
    try:
        uuids: list[str] = query.all(flat=True)
    except (ValueError, TypeError, KeyError, exceptions.AiidaException) as error:
        raise ValueError(f'"filters" are none that the QueryBuilder takes: {error}') from error
    if not uuids:
        raise ValueError(f'no structure fits {config.group or config.filters!r}')
    return _of_nodes(_draw(uuids, config.n, rng))


def _of_dataset(config: DatasetSourceConfig, rng: np.random.Generator) -> list[Structure]:
    node = find_node(config.uuid)
    if not isinstance(node, DatasetData):
        raise ValueError(f'"uuid": {config.uuid!r} is no dataset of this profile')
    labels = [row.label for row in node.rows if row.split == config.split]
    if config.system is not None:
        query = orm.QueryBuilder().append(LabelData, filters={'attributes.system': config.system}, project='uuid')
        named = set(query.all(flat=True))
        labels = [label for label in labels if label in named]
    if not labels:
        raise ValueError(f'"split" and "system": the dataset has no structure of split {config.split!r} that fits')
    return _of_nodes(_draw(labels, config.n, rng))


def _draw(uuids: list[str], n: int | None, rng: np.random.Generator) -> list[str]:
    if n is None or n >= len(uuids):
        return uuids
    return [uuids[index] for index in sorted(rng.choice(len(uuids), size=n, replace=False).tolist())]


def _of_nodes(uuids: list[str]) -> list[Structure]:
    """Geometries of nodes; where they came from is told by the UUID alone, their own provenance is in the graph."""
    ours = orm.QueryBuilder().append(
        (TrainingStructureData, LabelData), filters={'uuid': {'in': uuids}}, project='uuid'
    )
    known = set(ours.all(flat=True))
    frames = dict(zip(sorted(known), read_structures(sorted(known)), strict=True))
    atoms: dict[str, Any] = {uuid: frame.atoms for uuid, frame in frames.items()}
    atoms |= {uuid: orm.load_node(uuid).get_ase() for uuid in uuids if uuid not in known}
    return [Structure(atoms[uuid], {}, {'source_uuid': uuid}) for uuid in uuids]
