"""The starting geometries of a whole campaign, and what speaks against them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aiida_traincraft.science.calculators import check_elements
from aiida_traincraft.science.config.base import ConfigIssue
from aiida_traincraft.science.config.campaign import CampaignConfig
from aiida_traincraft.science.config.systems import SystemConfig
from aiida_traincraft.science.geometry import build_geometries
from aiida_traincraft.science.sampling import needs_calculator
from aiida_traincraft.science.seeds import derive_seed
from aiida_traincraft.science.structure import Structure
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
    at_launch: bool = False
    """Whether its source reads a profile, so that it is built when the campaign is launched."""


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
            yield BuiltSystem(place, system, build_geometries(system.geometry, workspace, seed))
        except Exception as error:
            # A plugin may raise anything; here it is a fault of the config.
            yield BuiltSystem(place, system, error=str(error) or type(error).__name__)


def check_systems(config: CampaignConfig, built: list[BuiltSystem]) -> list[ConfigIssue]:
    """Find what is wrong with the geometries of a campaign, as far as it can be known without a profile.

    Parameters
    ----------
    config
        The campaign.
    built
        Its systems, from :func:`build_systems`.

    Returns
    -------
    list of ConfigIssue
        Geometries that cannot be built, elements that the teacher does not know or that no system trains, and
        samplers that need forces where the labeller gives none cheaply.
    """
    issues: list[ConfigIssue] = []
    teacher = getattr(config.labelling, 'calculator', None)
    trained: set[str] = set()
    tested: set[str] = set()
    for system in built:
        if system.error is not None:
            issues.append(ConfigIssue(f'{system.place}.geometry', system.error))
        if teacher is None and needs_calculator(system.config.sampling):
            sampler, labeller = system.config.sampling.type, config.labelling.type
            issues.append(
                ConfigIssue(
                    f'{system.place}.sampling',
                    f'"{sampler}" needs forces before there is a potential, and labelling by "{labeller}" gives none '
                    'cheaply: use "rattle" (for the test set too)',
                )
            )
        elements = {element for structure in system.structures for element in structure.elements}
        (tested if system.place.startswith('test_set') else trained).update(elements)
        if teacher is not None:
            try:
                check_elements(teacher, elements)
            except ValueError as error:
                issues.append(ConfigIssue('labelling.calculator', f'{error} (needed by {system.place})'))
    if tested - trained and not any(system.error or system.at_launch for system in built):
        names = ', '.join(sorted(tested - trained))
        issues.append(ConfigIssue('test_set', f'elements that no system trains: {names}'))
    return issues
