"""What ACE trainings are asked before anything is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from aiida_traincraft.data.dataset import DatasetData, compositions
from aiida_traincraft.data.potentials.pace import PacePotentialData
from aiida_traincraft.data.reading import find_node
from aiida_traincraft.science.baselines import check_continued
from aiida_traincraft.science.campaign.preflight import Preflight
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.config.training.base import PaceTraining
from aiida_traincraft.science.config.training.pace import PaceNonlinearTraining
from aiida_traincraft.science.errors import ConfigIssue
from aiida_traincraft.science.training.ace.basis import count_atoms
from aiida_traincraft.science.training.ace.reduction import atoms_needed, check_size
from aiida_traincraft.workchains.seams.trainer import Trainer

Ace = TypeVar('Ace', bound=PaceTraining)


class AceTrainer(Trainer[Ace]):
    """Hooks that linear and nonlinear ACE share: whether the number of structures to train on can be kept."""

    def check(self, preflight: Preflight) -> list[ConfigIssue]:
        """Find out whether so few structures as asked for can hold enough atoms of each element."""
        # A campaign draws any number of structures from each geometry.
        geometries = preflight.structures(preflight.config.systems)
        counts = [count_atoms([item]) for item in geometries] * atoms_needed(self.section)
        return super().check(preflight) + self._check_size(counts)

    def check_dataset(self, dataset: DatasetData) -> list[ConfigIssue]:
        """Find out whether the dataset has so many training structures, and these enough atoms of each element."""
        size, count = self.section.active_set_size, dataset.count('train')
        if size is None:
            return []
        if size > count:
            message = f'{size} of {count} training structures cannot be picked: give at most {count}, or leave it out'
            return [self.issue('active_set_size', message)]
        return self._check_size(compositions([row.label for row in dataset.rows if row.split == 'train']))

    def _check_size(self, counts: Sequence[Mapping[str, int]]) -> list[ConfigIssue]:
        if self.section.active_set_size is None or not counts:
            return []
        try:
            check_size(counts, self.section, min(self.section.active_set_size, len(counts)))
        except ValueError as error:
            return [self.issue('active_set_size', str(error))]
        return []


class PaceLinearTrainer(AceTrainer[PaceTraining]):
    """Hooks of the linear fit."""


class PaceTrainer(AceTrainer[PaceNonlinearTraining]):
    """Hooks of the nonlinear fit."""

    def check_start(self, elements: frozenset[str], folder: Path) -> list[ConfigIssue]:
        """Check that the potential to start from is there, fits the section and knows the elements."""
        uuid = self.section.initial_potential
        if uuid is None:
            return []
        node = find_node(uuid)
        if node is None:
            return [self.issue('initial_potential', f'there is no node {uuid!r} in this profile')]
        if not isinstance(node, PacePotentialData):
            return [self.issue('initial_potential', f'{uuid!r} is no ACE potential but {node}')]
        try:
            check_continued(self.section.baseline, parse_plugin('baseline', node.baseline))
        except ValueError as error:
            return [self.issue('baseline', str(error))]
        if node.cutoff != self.section.cutoff:
            return [self.issue('cutoff', f'the initial potential has {node.cutoff} Å: set the cutoff to that')]
        if missing := sorted(elements - set(node.elements)):
            names = ', '.join(missing)
            return [self.issue('initial_potential', f'{node} does not know {names}: train a new potential')]
        return []
