"""Labels by a stored potential: a surrogate for its own teacher."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from aiida import orm

from aiida_traincraft.data.potential import PotentialData
from aiida_traincraft.data.reading import find_node
from aiida_traincraft.science.config.base import ConfigIssue
from aiida_traincraft.science.config.labelling import LabellingConfig, PotentialLabelling
from aiida_traincraft.workchains.label_ase import LabelAseWorkChain


class LabelPotentialWorkChain(LabelAseWorkChain):
    """As ``traincraft.label.ase``, with a potential in place of a calculator."""

    @classmethod
    def roles(cls, section: LabellingConfig) -> tuple[str, ...]:
        """Tell the code that evaluates the potential."""
        potential = _load(section)
        return () if potential is None else (potential.role,)

    @classmethod
    def check_section(
        cls, section: LabellingConfig, elements: Collection[str], codes: dict[str, orm.AbstractCode]
    ) -> list[ConfigIssue]:
        """Check that the potential is there and knows the elements."""
        assert isinstance(section, PotentialLabelling)
        potential = _load(section)
        if potential is None:
            return [ConfigIssue('labelling.potential', f'there is no potential {section.potential!r} in this profile')]
        if not potential.gives_forces:
            return [ConfigIssue('labelling.potential', f'{potential} gives no forces')]
        if missing := sorted(set(elements) - set(potential.elements)):
            return [ConfigIssue('labelling.potential', f'{potential} does not know {", ".join(missing)}')]
        return []

    @classmethod
    def level_content(cls, inputs: Mapping[str, Any], elements: Collection[str]) -> dict[str, Any]:
        """Tell which potential labels, by the content of its files."""
        potential = _potential(inputs['config']['labelling'])
        table = {key: value for key, value in potential.job_table().items() if key in ('type', 'head', 'dtype')}
        return {
            'type': 'potential',
            'surrogate': True,
            'potential': table | {'files': potential.base.repository.hash()},
        }

    def teacher_inputs(self) -> dict[str, Any]:
        """Run the potential with its own code."""
        labelling = self.section('labelling')
        return self.potential_inputs(_potential(labelling), {'min_distance': labelling['min_distance']})


def _potential(labelling: Mapping[str, Any]) -> PotentialData:
    potential: PotentialData = orm.load_node(labelling['potential'])
    return potential


def _load(section: LabellingConfig) -> PotentialData | None:
    assert isinstance(section, PotentialLabelling)
    node = find_node(section.potential)
    return node if isinstance(node, PotentialData) else None
