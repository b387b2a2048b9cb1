"""From a file of validators to a builder of ``traincraft.validate``, for any potential."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import ProcessBuilder
from aiida.plugins import WorkflowFactory

from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.potentials.base import PotentialData
from aiida_traincraft.data.potentials.foreign import ForeignPotentialData, table_of_file
from aiida_traincraft.launch.checks import find_codes
from aiida_traincraft.launch.inputs import plugin_files, store_sources, validation_holders
from aiida_traincraft.launch.interpreters import check_interpreters
from aiida_traincraft.science.campaign.validators import check_validation
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.config.validation_run import ValidationRunConfig, load_validation_run
from aiida_traincraft.science.errors import ConfigError, ConfigIssue
from aiida_traincraft.science.validation.starts import build_starts
from aiida_traincraft.science.workspace import Workspace
from aiida_traincraft.workchains.seams.labeller import labeller_of


def validation_builder(
    path: Path, potential: PotentialData | Path | None, test_set: DatasetData | None
) -> ProcessBuilder:
    """Make a builder that validates one potential.

    Parameters
    ----------
    path
        File of validators.
    potential
        A stored potential, or a file; without, the section ``[potential]`` of the file describes it.
    test_set
        Labels to score on (split "test").

    Raises
    ------
    ConfigError
        If the file is not valid, a code is missing, or a validator cannot run.
    """
    config, folder = load_validation_run(path), path.resolve().parent
    subject = _find_potential(config, potential, folder)
    labeller = None if config.labelling is None else labeller_of(config.labelling)
    roles = {subject.role, *(labeller.roles if labeller is not None else ())}
    codes, issues = find_codes(config.codes, sorted(roles))
    issues += check_interpreters(codes)
    given = None if isinstance(subject, ForeignPotentialData) else frozenset(subject.properties)
    issues += check_validation(
        config.validation, given, subject.elements, config.labelling, Workspace(folder), config.run.seed
    )
    if test_set is None:
        issues += [
            ConfigIssue(f'validation.validators[{index}]', f'{validator.type!r} needs labels: name a --test-set')
            for index, validator in enumerate(config.validation.validators)
            if validator.needs_labels
        ]
    content: dict[str, Any] = config.model_dump(mode='json')
    elements = frozenset[str]()
    if labeller is not None and not issues:
        # A potential may know more elements than the labeller is asked for.
        starts = build_starts(config.validation, Workspace(folder), config.run.seed)
        elements = frozenset(element for start in starts if start is not None for element in start.elements)
        issues += labeller.check_elements(elements, codes)
    if issues:
        raise ConfigError(issues, path.name)
    if labeller is not None:
        content['labelling'] = labeller.complete(elements, folder).section
    builder = WorkflowFactory('traincraft.validate').get_builder()
    content['run']['plugins'] = [Path(name).name for name in config.run.plugins]
    builder.files = store_sources(validation_holders(content['validation']), folder)
    builder.config = orm.Dict(content)
    builder.codes = codes
    builder.plugins = plugin_files(config.run, folder)
    builder.potential = subject
    if test_set is not None:
        builder.test_set = test_set
    builder.metadata.label = config.run.name
    return builder


def _find_potential(config: ValidationRunConfig, given: PotentialData | Path | None, folder: Path) -> PotentialData:
    described = config.potential
    if given is None and described is None:
        raise ConfigError([ConfigIssue('potential', 'name a potential, or describe it in this section')])
    if given is None:
        assert described is not None
        return ForeignPotentialData(described, folder)
    if isinstance(given, PotentialData):
        return given
    further = {} if described is None else described.model_dump(mode='json', exclude={'type'})
    return ForeignPotentialData(parse_plugin('calculator', table_of_file(given, further)), folder)
