"""The starting geometries of a whole campaign."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aiida_traincraft.science.config.campaign import CampaignConfig
from aiida_traincraft.science.config.systems import SystemConfig
from aiida_traincraft.science.errors import shortened
from aiida_traincraft.science.geometry import build_geometries
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
        if system.geometry.source is not None and system.geometry.source.profile:
            yield BuiltSystem(place, system, at_launch=True)
            continue
        try:
            seed = derive_seed(config.run.seed, 'geometry', system.name)
            structures = build_geometries(system.geometry, workspace, seed)
            yield BuiltSystem(place, system, structures, added=system.sampling.added_elements())
        except Exception as error:
            # A plugin may raise anything; here it is a fault of the config.
            yield BuiltSystem(place, system, error=shortened(str(error)) or type(error).__name__)
