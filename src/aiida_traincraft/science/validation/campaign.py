"""The section ``[validation]`` of a campaign: what speaks against it, and its systems as geometries."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from aiida_traincraft.science.calculators import check_structures
from aiida_traincraft.science.config.base import ConfigIssue, PluginConfig
from aiida_traincraft.science.config.campaign import CampaignConfig
from aiida_traincraft.science.config.validation import ValidationConfig, ValidatorConfig
from aiida_traincraft.science.training.mace import model_properties
from aiida_traincraft.science.validation.starts import build_start
from aiida_traincraft.science.workspace import Workspace


def with_geometries(config: CampaignConfig) -> ValidationConfig | None:
    """The section with the geometry of its system in every validator that names one.

    Systems that the campaign does not have are left as they are.
    """
    if config.validation is None:
        return None
    systems = {system.name: system.geometry for system in (*config.systems, *config.test_set.systems)}
    content = config.validation.model_dump(mode='json')
    for table in content['validators']:
        if table.get('system') in systems:
            table |= {'geometry': systems[table['system']].model_dump(mode='json'), 'system': None}
    return ValidationConfig.model_validate(content)


def check_campaign(config: CampaignConfig, elements: Collection[str], folder: Path) -> list[ConfigIssue]:
    """Find what would keep a validator of a campaign from running; see :func:`check_validation`.

    Parameters
    ----------
    config
        The campaign.
    elements
        Elements that the potential is trained on.
    folder
        Folder that relative paths of sources refer to.
    """
    section = with_geometries(config)
    if section is None:
        return []
    given = potential_properties(config.training)
    if section.dielectric is not None:
        given |= potential_properties(section.dielectric)
    return check_validation(section, given, elements, config.labelling, Workspace(folder), config.run.seed)


def check_validation(
    section: ValidationConfig,
    given: frozenset[str] | None,
    elements: Collection[str],
    labelling: PluginConfig | None,
    workspace: Workspace,
    seed: int,
) -> list[ConfigIssue]:
    """Find what would keep a validator from running.

    Parameters
    ----------
    section
        The section ``[validation]``.
    given
        Properties that the potential gives; None if that is not known.
    elements
        Elements that the potential knows; none if that is not known.
    labelling
        Who computes the reference.
    workspace
        Folder that relative paths of sources refer to.
    seed
        Seed of the geometries.

    Returns
    -------
    list of ConfigIssue
        Systems that are none, geometries that cannot be built or that a validator cannot use, unknown elements, and
        properties that the potential, or the reference, does not give.
    """
    issues = []
    for index, validator in enumerate(section.validators):
        assert isinstance(validator, ValidatorConfig)
        place = f'validation.validators[{index}]'
        missing = sorted(validator.needs - given) if given is not None else []
        if given is not None and missing:
            issues.append(
                ConfigIssue(
                    f'{place}.type',
                    f'{validator.type!r} needs {", ".join(missing)}, and the potential gives only '
                    f'{", ".join(sorted(given))}; a model of dipoles can be trained beside it: [validation.dielectric]',
                )
            )
        if getattr(validator, 'reference', False) and labelling is None:
            issues.append(ConfigIssue(f'{place}.reference', 'there is no section [labelling] that could compute it'))
        if (reason := _refusal(validator, elements, labelling, workspace, seed)) is not None:
            issues.append(ConfigIssue(place, reason))
    return issues


def potential_properties(section: PluginConfig) -> frozenset[str]:
    """Properties that the potential of a section ``[training]`` gives."""
    return model_properties(getattr(section, 'model', ''))


def _refusal(
    validator: Any, elements: Collection[str], labelling: PluginConfig | None, workspace: Workspace, seed: int
) -> str | None:
    """Why a validator cannot use its starting structure, None if it can."""
    if (system := getattr(validator, 'system', None)) is not None:
        return f'"system": there is no system {system!r}'
    source: Any = getattr(getattr(validator, 'geometry', None), 'source', None)
    if getattr(source, 'profile', False) or getattr(source, 'network', False):
        return f'"geometry": a validator does not fetch {source.type!r}: name a "system" that does'
    try:
        start = build_start(validator, workspace, seed)
        unknown = sorted(set(start.elements) - set(elements)) if start is not None and elements else []
        if unknown:
            return (
                f'"geometry": the potential does not know {", ".join(unknown)}; it knows {", ".join(sorted(elements))}'
            )
        teacher = getattr(labelling, 'calculator', None)
        if start is not None and teacher is not None and validator.reference:
            check_structures(teacher, [start], validator.needs)
    except Exception as error:
        # A plugin may raise anything; here it is a fault of the config.
        return str(error) or type(error).__name__
    return None
