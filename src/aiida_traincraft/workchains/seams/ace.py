"""What ACE trainings are asked before anything is stored."""

from __future__ import annotations

from pathlib import Path

from aiida_traincraft.data.potentials.pace import PacePotentialData
from aiida_traincraft.data.reading import find_node
from aiida_traincraft.science.baselines import check_continued
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.config.training.base import PaceTraining
from aiida_traincraft.science.config.training.pace import PaceNonlinearTraining
from aiida_traincraft.science.errors import ConfigIssue
from aiida_traincraft.workchains.seams.trainer import Trainer


class PaceLinearTrainer(Trainer[PaceTraining]):
    """Hooks of the linear fit: it needs nothing but labels."""


class PaceTrainer(Trainer[PaceNonlinearTraining]):
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
