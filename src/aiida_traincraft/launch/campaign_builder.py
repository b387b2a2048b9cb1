"""From a campaign file to a builder, with every check that can be made before anything is stored."""

from __future__ import annotations

from pathlib import Path

from aiida import orm
from aiida.engine import ProcessBuilder

from aiida_traincraft.launch.checks import dielectric_trainer, frozen_preflight
from aiida_traincraft.launch.inputs import plugin_files, store_sources, validation_holders
from aiida_traincraft.science.campaign.preflight import Preflight
from aiida_traincraft.science.config.campaign import CampaignConfig
from aiida_traincraft.science.config.loader import load_campaign
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.workchains.active_learning import ActiveLearningWorkChain
from aiida_traincraft.workchains.seams.labeller import labeller_of
from aiida_traincraft.workchains.seams.trainer import trainer_of


def builder_from_config(config: CampaignConfig | Path | str) -> ProcessBuilder:
    """Make a builder of ``traincraft.active_learning`` from a campaign file or a validated config.

    Raises
    ------
    ConfigError
        If the file is not valid, or something speaks against the campaign: all of it, each with its key.
    """
    folder = Path.cwd()
    if not isinstance(config, CampaignConfig):
        folder = Path(config).resolve().parent
        config = load_campaign(Path(config))
    with frozen_preflight(config, folder) as (preflight, issues):
        if issues:
            raise ConfigError(issues, config.run.name)
        return _builder(preflight)


def _builder(preflight: Preflight) -> ProcessBuilder:
    config, folder = preflight.config, preflight.folder
    content = config.model_dump(mode='json')
    content['labelling'] = labeller_of(config.labelling).complete(preflight.elements, folder).section
    trainer = trainer_of(config.training).complete(preflight.elements, folder)
    content['training'], models = trainer.section, {'training': trainer.model}
    if (dielectric := dielectric_trainer(config)) is not None:
        trainer = trainer_of(dielectric).complete(preflight.elements, folder)
        content['validation']['dielectric'], models['dielectric'] = trainer.section, trainer.model
    if config.distillation is not None:
        trainer = trainer_of(config.distillation.training).complete(preflight.elements, folder)
        content['distillation']['training'], models['student'] = trainer.section, trainer.model
    holders = [*content['systems'], *content['test_set']['systems'], *validation_holders(content['validation'])]
    files = store_sources(holders, folder)
    content['run']['plugins'] = [Path(name).name for name in config.run.plugins]
    builder = ActiveLearningWorkChain.get_builder()
    builder.config = orm.Dict(content)
    builder.codes = dict(preflight.codes)
    builder.files = files
    builder.models = {name: node for name, node in models.items() if node is not None}
    builder.plugins = plugin_files(config.run, folder)
    builder.metadata.label = config.run.name
    return builder
