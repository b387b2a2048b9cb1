"""From a campaign file to a builder, with every check that can be made before anything is stored."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.common import exceptions
from aiida.engine import ProcessBuilder
from aiida.plugins import WorkflowFactory

from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.provenance.leakage import find_leaks, tell
from aiida_traincraft.science.config.base import ConfigError, ConfigIssue, PluginConfig
from aiida_traincraft.science.config.campaign import CampaignConfig, load_campaign
from aiida_traincraft.science.config.codes import CodesConfig
from aiida_traincraft.science.config.run import RunConfig
from aiida_traincraft.science.geometry.campaign import build_systems, check_systems
from aiida_traincraft.science.near_duplicates import DEFAULT_TOLERANCE
from aiida_traincraft.science.seeds import derive_seed
from aiida_traincraft.science.validation.campaign import check_campaign
from aiida_traincraft.workchains.frozen_sources import freeze_sources
from aiida_traincraft.workchains.interpreters import check_interpreters
from aiida_traincraft.workchains.label import labeller_of
from aiida_traincraft.workchains.train_checks import check_trainer, complete_trainer


def builder_from_config(process: Any, config: CampaignConfig | Path | str) -> ProcessBuilder:
    """Make a builder of the active-learning WorkChain; see its ``get_builder_from_config``."""
    folder = Path.cwd()
    if not isinstance(config, CampaignConfig):
        folder = Path(config).resolve().parent
        config = load_campaign(Path(config))
    with tempfile.TemporaryDirectory() as store:
        return _builder(process, freeze_sources(config, folder, Path(store)), folder)


def _builder(process: Any, config: CampaignConfig, folder: Path) -> ProcessBuilder:
    codes, issues = find_codes(config.codes, needed_roles(config))
    issues += check_interpreters(codes)
    elements, found = check_geometries(config, folder)
    issues += found + _check_trainers(config, elements, folder) + check_campaign(config, elements, folder)
    labeller = labeller_of(config.labelling.type)
    if elements:
        issues += labeller.check_section(config.labelling, elements, codes)
    if issues:
        raise ConfigError(issues, config.run.name)

    content = config.model_dump(mode='json')
    content['labelling'] = labeller.complete_section(config.labelling, elements).model_dump(mode='json')
    holders = [*content['systems'], *content['test_set']['systems'], *validation_holders(content['validation'])]
    files = store_sources(holders, folder)
    models = {'training': complete_trainer(content['training'], folder)}
    if config.validation is not None and config.validation.dielectric is not None:
        models['dielectric'] = complete_trainer(content['validation']['dielectric'], folder)
    if content['distillation'] is not None:
        models['student'] = complete_trainer(content['distillation']['training'], folder)
    content['run']['plugins'] = [Path(name).name for name in config.run.plugins]
    builder = process.get_builder()
    builder.config = orm.Dict(content)
    builder.codes = codes
    builder.files = files
    builder.models = {name: node for name, node in models.items() if node is not None}
    builder.plugins = plugin_files(config.run, folder)
    builder.metadata.label = config.run.name
    return builder


def store_sources(holders: Iterable[dict[str, Any]], folder: Path) -> dict[str, orm.SinglefileData]:
    """Make nodes of the files that geometry sources read, and name them by the place that jobs find them at.

    Parameters
    ----------
    holders
        Tables with a key ``geometry``, changed in place.
    folder
        Folder that relative paths refer to.
    """
    files: dict[str, orm.SinglefileData] = {}
    for holder in holders:
        source = holder['geometry']['source'] or {}
        # The daemon reads a file from its node; ASE tells some formats by the file's name, so it is kept.
        if source.get('path') is not None:
            source['path'] = _stored(folder, source['path'], files)
        if source.get('paths') is not None:
            source['paths'] = [_stored(folder, path, files) for path in source['paths']]
    return files


def validation_holders(section: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Tables of the validators that have a geometry."""
    return [table for table in (section or {}).get('validators', []) if table.get('geometry') is not None]


def _stored(folder: Path, name: str, files: dict[str, orm.SinglefileData]) -> str:
    """Add the node of a file, and return the place that jobs find it at."""
    path = folder / Path(name).expanduser()
    key = f'file_{len(files):03d}'
    files[key] = orm.SinglefileData(path)
    return f'{key}/{path.name}'


def train_builder_from_config(path: Path, dataset: DatasetData, test_set: DatasetData | None) -> ProcessBuilder:
    """Make a builder that trains what ``[training]`` of a campaign file says on a stored dataset.

    Parameters
    ----------
    path
        The campaign file.
    dataset
        Labels to train on (split "train").
    test_set
        Labels to score on (split "test").

    Raises
    ------
    ConfigError
        If the file is not valid, a code is missing, the trainer cannot do what it says, or training structures are
        in the test set, of a trajectory of it, or near duplicates of its structures.
    """
    config, folder = load_campaign(path), path.resolve().parent
    codes, issues = find_codes(config.codes, getattr(config.training, 'roles', ()))
    issues += check_interpreters(codes)
    issues += check_trainer(config.training, set(dataset.e0), folder, explores=False)
    if not dataset.count('train'):
        issues.append(ConfigIssue('dataset', f'{dataset} has nothing to train on'))
    if test_set is not None and (leaks := find_leaks(dataset, DEFAULT_TOLERANCE, test_set)):
        issues.append(ConfigIssue('test_set', f'{tell(leaks)}. Split by group: traincraft dataset split'))
    if issues:
        raise ConfigError(issues, path.name)
    content = config.model_dump(mode='json')
    model = complete_trainer(content['training'], folder)
    if model is not None:
        model.store()
    builder = WorkflowFactory('traincraft.train').get_builder()
    builder.config = orm.Dict(content)
    builder.codes = codes
    builder.plugins = plugin_files(config.run, folder)
    builder.dataset, builder.seed = dataset, orm.Int(derive_seed(config.run.seed, 'train'))
    if test_set is not None:
        builder.test_set = test_set
    builder.metadata.label = config.run.name
    return builder


def plugin_files(section: RunConfig, folder: Path) -> dict[str, orm.SinglefileData]:
    """Nodes of the plugin files of a section ``[run]``."""
    return {
        f'plugin_{index}': orm.SinglefileData((folder / name).resolve()) for index, name in enumerate(section.plugins)
    }


def needed_roles(config: CampaignConfig) -> list[str]:
    """Roles of the codes that a campaign uses; sampling of the first structures always needs ``ase``."""
    roles = {'ase', *labeller_of(config.labelling.type).roles(config.labelling)}
    sections = [config.training, config.exploration, *_further_trainers(config).values()]
    return sorted(roles.union(*(getattr(section, 'roles', ()) for section in sections)))


def find_codes(section: CodesConfig, roles: Collection[str]) -> tuple[dict[str, orm.AbstractCode], list[ConfigIssue]]:
    """Codes by role, and which are missing."""
    codes, issues = {}, []
    for role in roles:
        label = getattr(section, role).code
        try:
            codes[role] = orm.load_code(label)
        except (exceptions.NotExistent, exceptions.MultipleObjectsError, ValueError):
            issues.append(
                ConfigIssue(
                    f'codes.{role}.code',
                    f'there is no code {label!r} in this profile; run "traincraft setup", which says what it finds '
                    'and how to get what is missing, or name a code of "verdi code list"',
                )
            )
    return codes, issues


def _check_trainers(config: CampaignConfig, elements: set[str], folder: Path) -> list[ConfigIssue]:
    issues = check_trainer(config.training, elements, folder)
    for place, section in _further_trainers(config).items():
        found = check_trainer(section, elements, folder, explores=place != 'validation.dielectric')
        issues += [ConfigIssue(f'{place}{issue.path.removeprefix("training")}', issue.message) for issue in found]
    return issues


def _further_trainers(config: CampaignConfig) -> dict[str, PluginConfig]:
    """Trainers beside that of the loop, by their place in the config."""
    found = {}
    if config.distillation is not None:
        found['distillation.training'] = config.distillation.training
    if config.validation is not None and config.validation.dielectric is not None:
        found['validation.dielectric'] = config.validation.dielectric
    return found


def check_geometries(config: CampaignConfig, folder: Path) -> tuple[set[str], list[ConfigIssue]]:
    """Build every geometry once and ask whether it can be labelled; return the elements and what is wrong."""
    built = list(build_systems(config, folder))
    labeller = labeller_of(config.labelling.type)
    issues = check_systems(config, built, partial(labeller.check_geometry, config.labelling))
    return {element for system in built for element in system.elements}, issues
