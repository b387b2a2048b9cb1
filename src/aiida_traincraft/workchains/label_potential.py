"""Labels by a stored potential: a surrogate for its own teacher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from aiida import orm

from aiida_traincraft.data.potentials.base import PotentialData
from aiida_traincraft.data.reading import find_node
from aiida_traincraft.science.config.labelling.potential import PotentialLabelling
from aiida_traincraft.science.errors import ConfigIssue
from aiida_traincraft.workchains.label_ase import LabelAseWorkChain
from aiida_traincraft.workchains.seams.labeller import Labeller


class PotentialLabeller(Labeller[PotentialLabelling]):
    """Hooks of labels by a stored potential."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Tell the code that evaluates the potential."""
        potential = self.potential
        return () if potential is None else (potential.role,)

    @property
    def potential(self) -> PotentialData | None:
        """The potential; None if this profile has none of this UUID."""
        node = find_node(self.section.potential)
        return node if isinstance(node, PotentialData) else None

    def check_elements(self, elements: frozenset[str], codes: Mapping[str, orm.AbstractCode]) -> list[ConfigIssue]:
        """Check that the potential is there and knows the elements."""
        potential = self.potential
        if potential is None:
            return [self.issue('potential', f'there is no potential {self.section.potential!r} in this profile')]
        if not potential.gives_forces:
            return [self.issue('potential', f'{potential} gives no forces')]
        if missing := sorted(elements - set(potential.elements)):
            return [self.issue('potential', f'{potential} does not know {", ".join(missing)}')]
        return []

    def level_of_theory(self, inputs: Mapping[str, Any], elements: frozenset[str]) -> dict[str, Any]:
        """Tell which potential labels, by the content of its files."""
        potential: PotentialData = orm.load_node(self.section.potential)
        table = {key: value for key, value in potential.job_table().items() if key in ('type', 'head', 'dtype')}
        if potential.adds_baseline:
            table['baseline'] = potential.baseline
        return {
            'type': 'potential',
            'surrogate': True,
            'potential': table | {'files': potential.base.repository.hash()},
        }


class LabelPotentialWorkChain(LabelAseWorkChain):
    """As ``traincraft.label.ase``, with a potential in place of a calculator."""

    hooks: ClassVar[type[Labeller[Any]]] = PotentialLabeller

    def teacher_inputs(self) -> dict[str, Any]:
        """Run the potential with its own code."""
        labelling = self.config.labelling
        assert isinstance(labelling, PotentialLabelling)
        potential = orm.load_node(labelling.potential)
        return self.potential_inputs(potential, {'min_distance': labelling.min_distance})
