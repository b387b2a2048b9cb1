"""What is known of a campaign before anything is stored: found out once, and what every check is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from aiida_traincraft.science.campaign.systems import BuiltSystem, build_systems
from aiida_traincraft.science.config.campaign import CampaignConfig
from aiida_traincraft.science.config.systems import SystemConfig
from aiida_traincraft.science.errors import ConfigIssue
from aiida_traincraft.science.structure import Structure


@dataclass(frozen=True)
class Preflight:
    """A campaign on the ground; its geometries are built once, when they are asked for first."""

    config: CampaignConfig
    """The campaign."""
    folder: Path
    """Folder that relative paths refer to."""
    codes: Mapping[str, Any] = field(default_factory=dict)
    """Codes by role, as far as a profile was asked and has them."""

    @cached_property
    def built(self) -> list[BuiltSystem]:
        """Systems to train on and to test on with their starting geometries, in the order of the config."""
        return list(build_systems(self.config, self.folder))

    @cached_property
    def elements(self) -> frozenset[str]:
        """Chemical symbols of all systems that could be built."""
        return frozenset().union(*(system.elements for system in self.built))

    @property
    def is_complete(self) -> bool:
        """Whether every system is built here; those whose source reads a profile are built at launch."""
        return not any(system.at_launch for system in self.built)

    def structures(self, systems: Iterable[SystemConfig]) -> list[Structure]:
        """Starting geometries of some systems; none of those that are not built, or are fetched at launch."""
        names = {system.name for system in systems if not system.geometry.is_fetched}
        return [item for system in self.built if system.config.name in names for item in system.structures]


Check = Callable[[Preflight], list[ConfigIssue]]
"""Finds what speaks against a campaign."""


def examine(preflight: Preflight, checks: Iterable[Check]) -> list[ConfigIssue]:
    """Ask checks in turn.

    Returns
    -------
    list of ConfigIssue
        All that they find, each thing once.
    """
    return list(dict.fromkeys(issue for check in checks for issue in check(preflight)))
