"""Starting geometries of a campaign."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_traincraft.calculations.stored_config import read_campaign
from aiida_traincraft.data.frames.pool import FramesData
from aiida_traincraft.science.config.systems import SystemConfig
from aiida_traincraft.science.geometry import build_geometries
from aiida_traincraft.science.seeds import derive_seed
from aiida_traincraft.science.workspace import Workspace


@calcfunction
def build_structures(config: orm.Dict, **nodes: orm.SinglefileData) -> dict[str, FramesData]:
    """Build the geometries of every system of the campaign and of its test set.

    Parameters
    ----------
    config
        The validated campaign.
    **nodes
        ``files__*``: files that sources read; ``plugins__*``: files with plugins.

    Returns
    -------
    dict
        ``systems`` and ``test_systems``: the frames of each system, in order.
    """
    campaign = read_campaign(config, nodes)
    with file_workspace(nodes) as workspace:
        return {
            'systems': FramesData(_build(campaign.systems, workspace, campaign.run.seed)),
            'test_systems': FramesData(_build(campaign.test_set.systems, workspace, campaign.run.seed)),
        }


@contextmanager
def file_workspace(nodes: Mapping[str, orm.Data]) -> Iterator[Workspace]:
    """Workspace with the files that geometry sources read, from nodes with keys ``files__*``."""
    with tempfile.TemporaryDirectory() as name:
        workspace = Workspace(Path(name))
        for key, node in nodes.items():
            if key.startswith('files__'):
                workspace.path(key.removeprefix('files__'), node.filename).write_bytes(node.get_content(mode='rb'))
        yield workspace


def _build(systems: Sequence[SystemConfig], workspace: Workspace, seed: int) -> list[Any]:
    structures = []
    for system in systems:
        for structure in build_geometries(system.geometry, workspace, derive_seed(seed, 'geometry', system.name)):
            structure.provenance['system'] = system.name
            structures.append(structure)
    return structures
