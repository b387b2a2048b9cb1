"""The section ``[validation]`` of a campaign: what speaks against it, and its systems as geometries."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from aiida_traincraft.science.calculators import check_properties, check_structures
from aiida_traincraft.science.campaign.preflight import Preflight
from aiida_traincraft.science.campaign.systems import all_systems
from aiida_traincraft.science.config.kinds import LabellerConfig, ValidatorConfig
from aiida_traincraft.science.config.training.mace import DIPOLE_LABELS
from aiida_traincraft.science.config.validation import StructureValidatorConfig, ValidationConfig
from aiida_traincraft.science.errors import ConfigIssue
from aiida_traincraft.science.scoring.evaluation import LABEL_UNITS
from aiida_traincraft.science.structure import Structure
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


def check_validators(preflight: Preflight) -> list[ConfigIssue]:
    """Find what would keep a validator of a campaign from running, or from keeping its limits.

    Beside what :func:`check_validation` finds: a model of dipoles that the labels do not serve, and limits of errors of
    what the labels of the test set do not have.
    """
    config = preflight.config
    if config.validation is None:
        return []
    content = config.model_dump(mode='json')
    section = ValidationConfig.model_validate(with_geometries(content['validation'], content))
    given = config.training.given_properties()
    if section.dielectric is not None:
        given |= section.dielectric.given_properties()
    fetched = {system.name for _, system in all_systems(config) if system.geometry.is_fetched}
    later = {
        index
        for index, validator in enumerate(config.validation.validators)
        if isinstance(validator, StructureValidatorConfig) and validator.system in fetched
    }
    elements = preflight.elements if preflight.is_complete else frozenset()
    workspace, seed = Workspace(preflight.folder), config.run.seed
    issues = check_validation(section, given, elements, config.labelling, workspace, seed, later)
    return [*issues, *_check_dielectric(preflight, section), *_check_test_labels(preflight, section)]


def check_validation(
    section: ValidationConfig,
    given: frozenset[str] | None,
    elements: Collection[str],
    labelling: LabellerConfig | None,
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
        place, reason, asked = f'validation.validators[{index}]', None, labelling
        if given is not None:
            issues += _check_given(validator, place, given)
        if validator.has_reference:
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


def _refusal(
    validator: ValidatorConfig,
    elements: Collection[str],
    labelling: LabellerConfig | None,
    workspace: Workspace,
    seed: int,
) -> str | None:
    """Why a validator cannot use its starting structure, None if it can."""
    if isinstance(validator, StructureValidatorConfig):
        if validator.system is not None:
            return f'"system": there is no system {validator.system!r}'
        source = None if validator.geometry is None else validator.geometry.source
        if source is not None and source.at_launch:
            return f'"geometry": a validator does not fetch {source.type!r}: name a "system" that does'
    try:
        start = build_start(validator, workspace, seed)
        unknown = sorted(set(start.elements) - set(elements)) if start is not None and elements else []
        if unknown:
            return (
                f'"geometry": the potential does not know {", ".join(unknown)}; it knows {", ".join(sorted(elements))}'
            )
        if start is not None and labelling is not None and validator.has_reference:
            unable = _no_labels(labelling, [start], validator.needs)
            return None if unable is None else f'"reference": {unable}'
    except Exception as error:
        # A plugin may raise anything; here it is a fault of the config.
        return str(error) or type(error).__name__
    return None


def _limited(validator: ValidatorConfig) -> Iterator[tuple[str, str, str]]:
    """Limits of errors on labels: key, quantity, and the property that both potential and labels must have for it."""
    if not validator.needs_labels:
        return
    for key, limits in (('at_most', validator.at_most), ('at_least', validator.at_least)):
        for quantity in limits:
            if (name := quantity.rpartition('_')[0]) in LABEL_UNITS:
                yield key, quantity, name


def _no_labels(labelling: LabellerConfig, structures: Iterable[Structure], wanted: Collection[str]) -> str | None:
    """Why a labeller does not give these properties of these structures, or not of any; None if it does."""
    teacher = labelling.teacher() or labelling
    try:
        check_properties(teacher, wanted, periodic=False)
        check_structures(teacher, structures, wanted)
    except ValueError as error:
        return str(error).replace('calculator', 'the labelling', 1) if teacher is labelling else str(error)
    return None


def _check_dielectric(preflight: Preflight, section: ValidationConfig) -> Iterator[ConfigIssue]:
    """Check that the model beside the potential is one of dipoles, and that the labels have what it is trained on."""
    if section.dielectric is None:
        return
    labels, labelling = sorted(section.dielectric.needed_labels()), preflight.config.labelling
    if not labels:
        message = f'it gives no dipoles: use type = "mace" with a model of {", ".join(DIPOLE_LABELS)}'
        yield ConfigIssue('validation.dielectric', message)
        return
    systems = preflight.config.systems if _no_labels(labelling, (), labels) is None else ()
    if (reason := _no_labels(labelling, preflight.structures(systems), labels)) is not None:
        yield ConfigIssue('validation.dielectric.model', f'it is trained on {", ".join(labels)}: {reason}')


def _check_test_labels(preflight: Preflight, section: ValidationConfig) -> Iterator[ConfigIssue]:
    """Check that the test set has the systems, and its labels the properties, that validators ask for."""
    labelling, systems = preflight.config.labelling, preflight.config.test_set.systems
    names = [system.name for system in systems]
    limits = []
    for index, validator in enumerate(section.validators):
        place = f'validation.validators[{index}]'
        for key, name in validator.tested_systems().items():
            if name not in names:
                message = f'the test set has no system {name!r}; it has {", ".join(names)}'
                yield ConfigIssue(f'{place}.{key}', message)
        limits += [(f'{place}.{key}.{quantity}', name) for key, quantity, name in _limited(validator)]
    # Energies and forces are in every label.
    limits = [(path, name) for path, name in limits if name not in ('energy', 'forces')]
    tested = preflight.structures(systems) if limits else []
    for path, name in limits:
        able = [item for item in tested if name != 'stress' or item.atoms.pbc.all()]
        reasons = [_no_labels(labelling, [item], [name]) for item in able]
        if (reason := _no_labels(labelling, (), [name])) is None:
            if tested and not able:
                reason = 'no structure of the test set is periodic in all directions'
            elif reasons and None not in reasons:
                reason = reasons[0]
        if reason is not None:
            yield ConfigIssue(path, f'the labels of the test set have no {name}: {reason}')
