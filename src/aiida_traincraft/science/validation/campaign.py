"""The section ``[validation]`` of a campaign: what speaks against it, and its systems as geometries."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from aiida_traincraft.science.calculators import check_properties, check_structures
from aiida_traincraft.science.config.base import ConfigIssue, PluginConfig
from aiida_traincraft.science.config.campaign import CampaignConfig
from aiida_traincraft.science.config.systems import SystemConfig
from aiida_traincraft.science.config.validation import ValidationConfig, ValidatorConfig
from aiida_traincraft.science.evaluation import UNITS
from aiida_traincraft.science.geometry.campaign import build_systems
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.training.mace import DIPOLE_LABELS, model_properties
from aiida_traincraft.science.validation.starts import build_start
from aiida_traincraft.science.workspace import Workspace


def with_geometries(section: dict[str, Any], campaign: Mapping[str, Any]) -> dict[str, Any]:
    """The section with the geometry of its system in every validator that names one.

    Parameters
    ----------
    section
        JSON content of the section ``[validation]``.
    campaign
        JSON content of the campaign; systems that it does not have are left as they are.
    """
    tables = [*campaign.get('systems', []), *campaign.get('test_set', {}).get('systems', [])]
    systems = {table['name']: table['geometry'] for table in tables}
    validators = [
        table | {'geometry': systems[table['system']], 'system': None} if table.get('system') in systems else table
        for table in section['validators']
    ]
    return section | {'validators': validators}


def check_campaign(config: CampaignConfig, elements: Collection[str], folder: Path) -> list[ConfigIssue]:
    """Find what would keep a validator of a campaign from running, or from keeping its limits.

    Beside what :func:`check_validation` finds: a model of dipoles that the labels do not serve, and limits of errors of
    what the labels of the test set do not have.

    Parameters
    ----------
    config
        The campaign.
    elements
        Elements that the potential is trained on; none if that is not known yet.
    folder
        Folder that relative paths of sources refer to.
    """
    if config.validation is None:
        return []
    content = config.model_dump(mode='json')
    section = ValidationConfig.model_validate(with_geometries(content['validation'], content))
    given = potential_properties(config.training)
    if section.dielectric is not None:
        given |= potential_properties(section.dielectric)
    fetched = {system.name for system in (*config.systems, *config.test_set.systems) if _is_fetched(system)}
    later = {index for index, v in enumerate(config.validation.validators) if getattr(v, 'system', None) in fetched}
    issues = check_validation(section, given, elements, config.labelling, Workspace(folder), config.run.seed, later)
    return [*issues, *_check_dielectric(config, section, folder), *_check_test_labels(config, section, folder)]


def check_validation(
    section: ValidationConfig,
    given: frozenset[str] | None,
    elements: Collection[str],
    labelling: PluginConfig | None,
    workspace: Workspace,
    seed: int,
    later: Collection[int] = (),
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
    later
        Indices of validators whose system is fetched when the campaign is launched: its geometry is not there yet.

    Returns
    -------
    list of ConfigIssue
        Systems that are none, geometries that cannot be built or that a validator cannot use, unknown elements, and
        properties that the potential, or the reference, does not give.
    """
    issues: list[ConfigIssue] = []
    for index, validator in enumerate(section.validators):
        assert isinstance(validator, ValidatorConfig)
        place, reason, asked = f'validation.validators[{index}]', None, labelling
        if given is not None:
            issues += _check_given(validator, place, given)
        if getattr(validator, 'reference', False):
            reason = 'there is no section [labelling] that could compute it'
            if labelling is not None:
                reason = _no_labels(labelling, (), validator.needs)
        if reason is not None:
            issues.append(ConfigIssue(f'{place}.reference', reason))
            asked = None
        if index not in later and (reason := _refusal(validator, elements, asked, workspace, seed)) is not None:
            issues.append(ConfigIssue(place, reason))
    return issues


def _check_given(validator: ValidatorConfig, place: str, given: frozenset[str]) -> Iterator[ConfigIssue]:
    """Check that the potential gives what a validator needs, and what its limits are of."""
    needed: list[tuple[str, str, Collection[str]]] = [(f'{place}.type', validator.type, validator.needs)]
    needed += [(f'{place}.{key}.{quantity}', quantity, {name}) for key, quantity, name in _limited(validator)]
    for path, what, names in needed:
        missing = sorted(set(names) - given)
        if not missing:
            continue
        advice = ''
        if models := [model for model, labels in DIPOLE_LABELS.items() if labels.keys() >= set(missing)]:
            advice = f'; in [validation.dielectric], models of MACE give it: {", ".join(models)}'
        yield ConfigIssue(
            path,
            f'{what!r} needs {", ".join(missing)}, and the potential gives only {", ".join(sorted(given))}{advice}',
        )


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
        if start is not None and labelling is not None and validator.reference:
            unable = _no_labels(labelling, [start], validator.needs)
            return None if unable is None else f'"reference": {unable}'
    except Exception as error:
        # A plugin may raise anything; here it is a fault of the config.
        return str(error) or type(error).__name__
    return None


def _is_fetched(system: SystemConfig) -> bool:
    """Whether a system's source is read when the campaign is launched."""
    source = system.geometry.source
    return bool(getattr(source, 'profile', False) or getattr(source, 'network', False))


def _limited(validator: ValidatorConfig) -> Iterator[tuple[str, str, str]]:
    """Limits of errors on labels: key, quantity, and the property that both potential and labels must have for it."""
    if not getattr(validator, 'needs_labels', False):
        return
    for key in ('at_most', 'at_least'):
        for quantity in getattr(validator, key):
            if (name := quantity.rpartition('_')[0]) in UNITS:
                yield key, quantity, name


def _no_labels(labelling: PluginConfig, structures: Iterable[Structure], wanted: Collection[str]) -> str | None:
    """Why a labeller does not give these properties of these structures, or not of any; None if it does."""
    teacher = getattr(labelling, 'calculator', labelling)
    try:
        check_properties(teacher, wanted, periodic=False)
        check_structures(teacher, structures, wanted)
    except ValueError as error:
        return str(error).replace('calculator', 'the labelling', 1) if teacher is labelling else str(error)
    return None


def _check_dielectric(config: CampaignConfig, section: ValidationConfig, folder: Path) -> Iterator[ConfigIssue]:
    """Check that the model beside the potential is one of dipoles, and that the labels have what it is trained on."""
    if section.dielectric is None:
        return
    labels = DIPOLE_LABELS.get(getattr(section.dielectric, 'model', ''))
    if labels is None:
        message = f'it gives no dipoles: use type = "mace" with a model of {", ".join(DIPOLE_LABELS)}'
        yield ConfigIssue('validation.dielectric', message)
        return
    systems = config.systems if _no_labels(config.labelling, (), labels) is None else ()
    structures = _structures(config, systems, folder)
    if (reason := _no_labels(config.labelling, structures, labels)) is not None:
        yield ConfigIssue('validation.dielectric.model', f'it is trained on {", ".join(labels)}: {reason}')


def _check_test_labels(config: CampaignConfig, section: ValidationConfig, folder: Path) -> Iterator[ConfigIssue]:
    """Check that the test set has the systems, and its labels the properties, that validators ask for."""
    names = [system.name for system in config.test_set.systems]
    limits = []
    for index, validator in enumerate(section.validators):
        place = f'validation.validators[{index}]'
        frames_of = getattr(validator, 'frames_of', None)
        if frames_of is not None and frames_of not in names:
            message = f'the test set has no system {frames_of!r}; it has {", ".join(names)}'
            yield ConfigIssue(f'{place}.frames_of', message)
        assert isinstance(validator, ValidatorConfig)
        limits += [(f'{place}.{key}.{quantity}', name) for key, quantity, name in _limited(validator)]
    # Energies and forces are in every label.
    limits = [(path, name) for path, name in limits if name not in ('energy', 'forces')]
    tested = _structures(config, config.test_set.systems, folder) if limits else []
    for path, name in limits:
        able = [item for item in tested if name != 'stress' or item.atoms.pbc.all()]
        reasons = [_no_labels(config.labelling, [item], [name]) for item in able]
        if (reason := _no_labels(config.labelling, (), [name])) is None:
            if tested and not able:
                reason = 'no structure of the test set is periodic in all directions'
            elif reasons and None not in reasons:
                reason = reasons[0]
        if reason is not None:
            yield ConfigIssue(path, f'the labels of the test set have no {name}: {reason}')


def _structures(config: CampaignConfig, systems: Iterable[SystemConfig], folder: Path) -> list[Structure]:
    """Starting geometries of systems; none of those that cannot be built, which is told elsewhere, or not yet."""
    names = [system.name for system in systems if not _is_fetched(system)]
    return [item for built in build_systems(config, folder, names) for item in built.structures] if names else []
