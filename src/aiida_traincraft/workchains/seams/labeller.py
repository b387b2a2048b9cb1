"""The labeller seam ``traincraft.label.<type>``: its ports, and what a labeller is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from aiida import orm

from aiida_traincraft.data.ledger import LedgerData
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.science.campaign.preflight import Preflight
from aiida_traincraft.science.config.kinds import LabellerConfig
from aiida_traincraft.science.errors import ConfigIssue
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.workchains.seams.base import Seam, hooks_of

Labelling = TypeVar('Labelling', bound=LabellerConfig)


def define_label_ports(spec: Any) -> None:
    """Define the ports of a labeller's WorkChain."""
    spec.input('structures', valid_type=ManifestData, help='Structures to label.')
    spec.output('manifest', valid_type=ManifestData, help='Labels of the structures that could be labelled.')
    spec.output('ledger', valid_type=LedgerData, help='What became of every structure.')


class Labeller(Seam[Labelling]):
    """Hooks of a labeller."""

    prefix: ClassVar[str] = 'label'

    def check(self, preflight: Preflight) -> list[ConfigIssue]:
        """Find geometries that could not be labelled, and what would make every label fail."""
        issues = []
        for system in preflight.built:
            reasons = {self.check_geometry(structure) for structure in system.structures} - {None}
            issues += [ConfigIssue(f'{system.place}.geometry', reason) for reason in sorted(filter(None, reasons))]
        return issues + (self.check_elements(preflight.elements, preflight.codes) if preflight.elements else [])

    def check_geometry(self, structure: Structure) -> str | None:
        """Find out why nothing that is made from a geometry could be labelled; None if nothing speaks against it."""
        return None

    def check_elements(self, elements: frozenset[str], codes: Mapping[str, orm.AbstractCode]) -> list[ConfigIssue]:
        """Find out what would make every label fail.

        Parameters
        ----------
        elements
            Elements of the whole campaign.
        codes
            Codes by role, as far as they were found.
        """
        return []


def labeller_of(section: LabellerConfig, place: str = 'labelling') -> Labeller[Any]:
    """Hooks of the labeller that a section stands for."""
    hooks: Labeller[Any] = hooks_of(Labeller.prefix, section, place)
    return hooks
