"""From a campaign file to a builder, with every check that can be made before anything is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import ProcessBuilder

from aiida_traincraft.launch.checks import frozen_preflight
from aiida_traincraft.launch.inputs import plugin_files, store_sources, validation_holders
from aiida_traincraft.science.campaign.preflight import Preflight
from aiida_traincraft.science.config.campaign import CampaignConfig
from aiida_traincraft.science.config.loader import load_campaign
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.workchains.active_learning import ActiveLearningWorkChain


def builder_from_config(config: CampaignConfig | Path | str, folder: Path | None = None) -> ProcessBuilder:
    """Make a builder of ``traincraft.active_learning`` from a campaign file or a validated config.

    Parameters
    ----------
    config
        Path of the file, or what was read from it.
    folder
        Folder that relative paths of a validated config refer to; by default the current one.

    Raises
    ------
    ConfigError
        If the file is not valid, or something speaks against the campaign: all of it, each with its key.
    """
    if not isinstance(config, CampaignConfig):
        path = Path(config)
        config, folder = load_campaign(path), path.resolve().parent
    with frozen_preflight(config, folder or Path.cwd()) as (preflight, seams, issues):
        if issues:
            raise ConfigError(issues, config.run.name)
        content, models = seams.complete(preflight)
        return _builder(content, preflight, models)


def _builder(content: dict[str, Any], preflight: Preflight, models: dict[str, orm.SinglefileData]) -> ProcessBuilder:
    config, folder = preflight.config, preflight.folder
    holders = [*content['systems'], *content['test_set']['systems'], *validation_holders(content['validation'])]
    files = store_sources(holders, folder)
    content['run']['plugins'] = [Path(name).name for name in config.run.plugins]
    builder = ActiveLearningWorkChain.get_builder()
    builder.config = orm.Dict(content)
    builder.codes = dict(preflight.codes)
    builder.files = files
    builder.models = models
    builder.plugins = plugin_files(config.run, folder)
    builder.metadata.label = config.run.name
    return builder
