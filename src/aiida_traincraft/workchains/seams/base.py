"""What every seam has: a hook class that is asked before a campaign is stored, beside the ports of its WorkChain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from aiida import orm
from aiida.common.exceptions import EntryPointError
from aiida.plugins import WorkflowFactory

from aiida_traincraft.science.campaign.preflight import Preflight
from aiida_traincraft.science.config.kinds import ExplorerConfig, LabellerConfig, TrainerConfig
from aiida_traincraft.science.errors import ConfigError, ConfigIssue

Section = TypeVar('Section', bound=LabellerConfig | TrainerConfig | ExplorerConfig)


@dataclass(frozen=True)
class Completed:
    """A section that needs nothing any more but what it says."""

    section: dict[str, Any]
    """JSON content."""
    model: orm.SinglefileData | None = None
    """Node, not stored yet, of a model's file that the section names."""


class Seam(Generic[Section]):
    """What a labeller, trainer or explorer says of a section before anything is stored.

    What it can do (properties, elements, ...) stands in the traits of the section's class, which the science floor
    reads too; see :mod:`aiida_traincraft.science.config.kinds`.

    Parameters
    ----------
    section
        Its section.
    place
        Place of the section in the config, such as ``training``.
    """

    prefix: ClassVar[str]
    """Entry points of its WorkChains are ``traincraft.<prefix>.<section.seam or section.type>``."""

    def __init__(self, section: Section, place: str) -> None:
        self.section, self.place = section, place

    @property
    def roles(self) -> tuple[str, ...]:
        """Codes of ``[codes]`` that it needs."""
        return self.section.roles

    def check(self, preflight: Preflight) -> list[ConfigIssue]:
        """Find out what would make it fail."""
        return []

    def complete(self, elements: frozenset[str], folder: Path) -> Completed:
        """Fill in what depends on the campaign or on files; called for a section without fault.

        Parameters
        ----------
        elements
            Elements of the whole campaign.
        folder
            Folder that relative paths refer to.
        """
        return Completed(self.section.model_dump(mode='json'))

    def level_of_theory(self, inputs: Mapping[str, Any], elements: frozenset[str]) -> dict[str, Any]:
        """What of the level of theory of its labels is known before one is made.

        Parameters
        ----------
        inputs
            Inputs ``codes`` and ``plugins`` of a campaign.
        elements
            Elements that are labelled.
        """
        return {'type': self.section.type}

    def issue(self, key: str, message: str) -> ConfigIssue:
        """An issue with a key of the section."""
        return ConfigIssue(f'{self.place}.{key}' if key else self.place, message)


def workchain_of(prefix: str, section: LabellerConfig | TrainerConfig | ExplorerConfig) -> Any:
    """WorkChain that a section stands for.

    Raises
    ------
    MissingEntryPointError
        If no installed package has one.
    """
    return WorkflowFactory(_entry_point(prefix, section))


def hooks_of(prefix: str, section: LabellerConfig | TrainerConfig | ExplorerConfig, place: str) -> Any:
    """Hooks that a section's WorkChain names.

    Raises
    ------
    ConfigError
        If the WorkChain cannot be loaded; names the key of the section's type.
    """
    try:
        workchain = workchain_of(prefix, section)
    except EntryPointError as error:
        message = (
            f'{section.type!r} is registered, but its WorkChain cannot be loaded: {error}; the package that brings it '
            f'must be installed with the entry point {_entry_point(prefix, section)!r} in the group "aiida.workflows" '
            '(a plugin file alone cannot bring one)'
        )
        raise ConfigError([ConfigIssue(f'{place}.type', message)]) from error
    return workchain.hooks(section, place)


def _entry_point(prefix: str, section: LabellerConfig | TrainerConfig | ExplorerConfig) -> str:
    return f'traincraft.{prefix}.{section.seam or section.type}'
