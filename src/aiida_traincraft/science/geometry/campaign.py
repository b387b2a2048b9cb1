"""The starting geometries of a whole campaign, and what speaks against them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aiida_traincraft.science.calculators import (
    NEEDED,
    check_cell_sizes,
    check_elements,
    check_properties,
    check_structures,
)
from aiida_traincraft.science.config.base import ConfigIssue, PluginConfig
from aiida_traincraft.science.config.campaign import CampaignConfig
from aiida_traincraft.science.config.systems import SystemConfig
from aiida_traincraft.science.geometry import build_geometries
from aiida_traincraft.science.sampling import needs_calculator, stress_key
from aiida_traincraft.science.seeds import derive_seed
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.training.mace import DIPOLE_LABELS
from aiida_traincraft.science.workspace import Workspace


@dataclass(frozen=True)
class BuiltSystem:
    """One system of a campaign with its starting geometries, or why there are none."""

    place: str
    """Its place in the config, such as ``test_set.systems[0]``."""
    config: SystemConfig
    """The system."""
    structures: list[Structure] = field(default_factory=list)
    """Its starting geometries."""
    error: str | None = None
    """Why it cannot be built."""
    added: frozenset[str] = frozenset()
    """Elements that its sampler adds."""
    at_launch: bool = False
    """Whether its source reads a profile, so that it is built when the campaign is launched."""

    @property
    def elements(self) -> set[str]:
        """Chemical symbols of its starting geometries, and of what its sampler adds."""
        return {element for structure in self.structures for element in structure.elements} | self.added


def all_systems(config: CampaignConfig) -> list[tuple[str, SystemConfig]]:
    """Systems to train on and to test on, each with its place in the config."""
    places = [(f'systems[{i}]', system) for i, system in enumerate(config.systems)]
    return places + [(f'test_set.systems[{i}]', system) for i, system in enumerate(config.test_set.systems)]


def build_systems(config: CampaignConfig, folder: Path, names: Collection[str] = ()) -> Iterator[BuiltSystem]:
    """Build the starting geometries of every system, as a campaign would.

    Parameters
    ----------
    config
        The campaign.
    folder
        Folder that relative paths of sources refer to.
    names
        Systems to build; all if empty.

    Yields
    ------
    BuiltSystem
        One for each system, in the order of the config; those that fail carry the reason.
    """
    workspace = Workspace(folder)
    for place, system in all_systems(config):
        if names and system.name not in names:
            continue
        if getattr(system.geometry.source, 'profile', False):
            yield BuiltSystem(place, system, at_launch=True)
            continue
        try:
            seed = derive_seed(config.run.seed, 'geometry', system.name)
            structures = build_geometries(system.geometry, workspace, seed)
            yield BuiltSystem(place, system, structures, added=getattr(system.sampling, 'adds', frozenset()))
        except Exception as error:
            # A plugin may raise anything; here it is a fault of the config.
            yield BuiltSystem(place, system, error=str(error) or type(error).__name__)


def check_systems(
    config: CampaignConfig, built: list[BuiltSystem], unfit: Callable[[Structure], str | None] | None = None
) -> list[ConfigIssue]:
    """Find what is wrong with the geometries of a campaign.

    Parameters
    ----------
    config
        The campaign.
    built
        Its systems, from :func:`build_systems`.
    unfit
        Says why the labeller cannot label a structure, None if it can; not asked without.

    Returns
    -------
    list of ConfigIssue
        Geometries that cannot be built, what the teacher cannot calculate, elements that no system trains, and samplers
        that need forces where the labeller gives none cheaply, or a stress that the teacher lacks.
    """
    issues = check_sampling(config)
    teacher = getattr(config.labelling, 'calculator', None)
    wanted = (*NEEDED, *DIPOLE_LABELS.get(getattr(config.training, 'model', ''), ()))
    trained: set[str] = set()
    tested: set[str] = set()
    for system in built:
        if system.error is not None:
            issues.append(ConfigIssue(f'{system.place}.geometry', system.error))
        (tested if system.place.startswith('test_set') else trained).update(system.elements)
        if unfit is not None:
            reasons = {reason for structure in system.structures if (reason := unfit(structure)) is not None}
            issues += [ConfigIssue(f'{system.place}.geometry', reason) for reason in sorted(reasons)]
        if teacher is not None:
            try:
                check_structures(teacher, system.structures, wanted)
                check_elements(teacher, system.added)
            except ValueError as error:
                issues.append(ConfigIssue('labelling.calculator', f'{error} (needed by {system.place})'))
    if teacher is not None:
        try:
            check_cell_sizes(teacher, [structure for system in built for structure in system.structures])
        except ValueError as error:
            issues.append(ConfigIssue('labelling.calculator', str(error)))
    if not issues and tested - trained and not any(system.at_launch for system in built):
        names = ', '.join(sorted(tested - trained))
        issues.append(ConfigIssue('test_set', f'elements that no system trains: {names}'))
    return issues


def check_sampling(config: CampaignConfig) -> list[ConfigIssue]:
    """Check that the first structures can be drawn: without a potential yet, forces and stress are the teacher's."""
    teacher = getattr(config.labelling, 'calculator', None)
    if teacher is not None:
        return _check_stress(config, teacher)
    return [
        ConfigIssue(
            f'{place}.sampling',
            f'"{system.sampling.type}" needs forces before there is a potential, and labelling by '
            f'"{config.labelling.type}" gives none cheaply: use "rattle" (for the test set too)',
        )
        for place, system in all_systems(config)
        if needs_calculator(system.sampling)
    ]


def _check_stress(config: CampaignConfig, teacher: PluginConfig) -> list[ConfigIssue]:
    issues = []
    for place, system in all_systems(config):
        key = stress_key(system.sampling)
        if key is None:
            continue
        try:
            check_properties(teacher, ('stress',), periodic=True)
        except ValueError as error:
            value = json.dumps(system.sampling.model_dump(mode='json')[key])
            issues.append(ConfigIssue(f'{place}.sampling.{key}', f'"{key}" = {value} needs the stress: {error}'))
    return issues
