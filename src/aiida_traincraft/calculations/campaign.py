"""The campaign's config node, read back."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from aiida import orm

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.campaign import CampaignConfig, validate_campaign

PLUGIN_PREFIX = 'plugins__'


def read_campaign(config: orm.Dict, nodes: Mapping[str, orm.Data]) -> CampaignConfig:
    """Validate a stored config; ``nodes`` with keys ``plugins__*`` hold the plugin files that it needs."""
    load_plugin_nodes(nodes)
    return validate_campaign(config.get_dict())


def load_plugin_nodes(nodes: Mapping[str, orm.Data]) -> None:
    """Load the plugins of the files in nodes with keys ``plugins__*``."""
    with tempfile.TemporaryDirectory() as name:
        files = []
        for key, node in sorted(nodes.items()):
            if key.startswith(PLUGIN_PREFIX):
                files.append(Path(name) / f'{key}.py')
                files[-1].write_bytes(node.get_content(mode='rb'))
        registry.load_plugins(files)
