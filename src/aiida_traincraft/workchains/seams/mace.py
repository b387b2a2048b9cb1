"""What a MACE training is asked before anything is stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from aiida import orm

from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.level_of_theory import describe_differences, full_level_hash
from aiida_traincraft.data.potentials.base import NO_BASELINE
from aiida_traincraft.data.potentials.mace import MacePotentialData
from aiida_traincraft.data.reading import find_node
from aiida_traincraft.science.baselines import check_continued
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.config.training.mace import MaceFoundation, MaceTraining
from aiida_traincraft.science.errors import ConfigIssue
from aiida_traincraft.workchains.seams.base import Completed
from aiida_traincraft.workchains.seams.trainer import Trainer


class MaceTrainer(Trainer[MaceTraining]):
    """Hooks of MACE trainings."""

    model_key: ClassVar[str] = 'model'

    def check_start(self, elements: frozenset[str], folder: Path) -> list[ConfigIssue]:
        """Check heads and foundation."""
        issues = list(self._check_heads())
        if self.section.foundation is not None:
            issues += self._check_foundation(self.section.foundation, elements, folder)
        return issues

    def complete(self, elements: frozenset[str], folder: Path) -> Completed:
        """Name the foundation model by a node and by its head."""
        content = self.section.model_dump(mode='json')
        foundation = content['foundation']
        if foundation is None:
            return Completed(content)
        if foundation['file'] is not None:
            node = orm.SinglefileData((folder / foundation['file']).resolve())
            foundation |= {'file': None, 'potential': node.uuid}
            return Completed(content, node)
        potential = orm.load_node(foundation['potential'])
        if foundation['head'] is None and isinstance(potential, MacePotentialData):
            # MACE itself would take the first.
            foundation['head'] = str(potential.heads[-1]['name'])
        if isinstance(potential, MacePotentialData):
            # Its parameters, where they are fitted.
            content['baseline'] = potential.baseline
        return Completed(content)

    def _check_heads(self) -> Iterator[ConfigIssue]:
        for index, head in enumerate(self.section.heads):
            if head.dataset is not None:
                yield from self._check_dataset(f'heads[{index}].dataset', head.dataset)
                continue
            key = f'heads[{index}].level_of_theory'
            assert head.level_of_theory is not None
            try:
                level = full_level_hash(head.level_of_theory)
            except ValueError as error:
                yield self.issue(key, str(error))
                continue
            if not orm.QueryBuilder().append(LabelData, filters={'attributes.level_of_theory': level}).count():
                yield self.issue(key, f'there is no label of the level of theory {level} in this profile')

    def _check_dataset(self, key: str, uuid: str) -> Iterator[ConfigIssue]:
        node = find_node(uuid)
        if not isinstance(node, DatasetData):
            yield self.issue(key, f'there is no dataset {uuid!r} in this profile')
        elif not node.count('train'):
            yield self.issue(key, f'{node} has nothing to train on')

    def _check_baseline(self, stored: Mapping[str, Any]) -> Iterator[ConfigIssue]:
        try:
            check_continued(self.section.baseline, parse_plugin('baseline', stored))
        except ValueError as error:
            yield self.issue('baseline', str(error))

    def _check_foundation(
        self, foundation: MaceFoundation, elements: frozenset[str], folder: Path
    ) -> Iterator[ConfigIssue]:
        if foundation.replay_dataset is not None:
            yield from self._check_dataset('foundation.replay_dataset', foundation.replay_dataset)
        if foundation.file is not None:
            path = folder / foundation.file
            if not path.is_file() or not path.stat().st_size:
                yield self.issue('foundation.file', f'there is no model {path}')
            yield from self._check_baseline(NO_BASELINE)
            return
        assert foundation.potential is not None
        node = find_node(foundation.potential)
        if isinstance(node, orm.SinglefileData):
            yield from self._check_baseline(NO_BASELINE)
            return
        if not isinstance(node, MacePotentialData):
            yield self.issue('foundation.potential', f'there is no MACE potential {foundation.potential!r} here')
            return
        yield from self._check_baseline(node.baseline)
        if node.architecture != 'ScaleShiftMACE':
            yield self.issue('foundation.potential', f'MACE fine-tunes a ScaleShiftMACE, not this {node}')
        if node.cutoff != self.section.r_max:
            yield self.issue('r_max', f'the foundation model has {node.cutoff} Å: set r_max to that')
        replay = None if foundation.replay_dataset is None else find_node(foundation.replay_dataset)
        others = [replay, *(find_node(head.dataset) for head in self.section.heads if head.dataset is not None)]
        needed = set(elements).union(*(dataset.e0 for dataset in others if isinstance(dataset, DatasetData)))
        if missing := sorted(needed - set(node.elements)):
            yield self.issue('foundation.potential', f'{node} does not know {", ".join(missing)}')
        names = [str(head['name']) for head in node.heads]
        if foundation.head is not None and foundation.head not in names:
            yield self.issue('foundation.head', f'{node} has no head {foundation.head!r}: {", ".join(names)}')
        elif isinstance(replay, DatasetData):
            level = node.heads[names.index(foundation.head) if foundation.head else -1].get('level_of_theory')
            if level is not None and [level] != replay.levels_of_theory:
                yield self.issue(
                    'foundation.replay_dataset',
                    f'its labels are of another level of theory than the head that training starts from: '
                    f'{describe_differences([level, *replay.levels_of_theory])}',
                )
