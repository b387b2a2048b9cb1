"""What can be known of a MACE training before anything is stored."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from aiida import orm

from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.label import LabelData
from aiida_traincraft.data.level_of_theory import describe_differences, full_level_hash
from aiida_traincraft.data.mace_potential import MacePotentialData
from aiida_traincraft.data.reading import find_node
from aiida_traincraft.science.config.base import ConfigIssue
from aiida_traincraft.science.config.mace import MaceFoundation, MaceTraining


def check_mace(
    section: MaceTraining, elements: Collection[str], folder: Path, explores: bool = True
) -> list[ConfigIssue]:
    """Check heads and foundation of a campaign.

    Parameters
    ----------
    section
        The section ``[training]``.
    elements
        Elements of the campaign.
    folder
        Folder that the path of a foundation model refers to.
    explores
        Whether the model is to drive an exploration.
    """
    issues = list(_check_heads(section))
    if explores and not section.gives_forces:
        issues.append(
            ConfigIssue(
                'training.model',
                f'{section.model} gives no forces, so nothing can be explored with it; train it on the dataset of a '
                'campaign: "traincraft train FILE --dataset CAMPAIGN"',
            )
        )
    if section.foundation is not None:
        issues += _check_foundation(section, section.foundation, elements, folder)
    return issues


def _check_heads(section: MaceTraining) -> Iterator[ConfigIssue]:
    for index, head in enumerate(section.heads):
        if head.dataset is not None:
            yield from _check_dataset(f'training.heads[{index}].dataset', head.dataset)
            continue
        path = f'training.heads[{index}].level_of_theory'
        assert head.level_of_theory is not None
        try:
            level = full_level_hash(head.level_of_theory)
        except ValueError as error:
            yield ConfigIssue(path, str(error))
            continue
        if not orm.QueryBuilder().append(LabelData, filters={'attributes.level_of_theory': level}).count():
            yield ConfigIssue(path, f'there is no label of the level of theory {level} in this profile')


def _check_dataset(path: str, uuid: str) -> Iterator[ConfigIssue]:
    node = find_node(uuid)
    if not isinstance(node, DatasetData):
        yield ConfigIssue(path, f'there is no dataset {uuid!r} in this profile')
    elif not node.count('train'):
        yield ConfigIssue(path, f'{node} has nothing to train on')


def _check_foundation(
    section: MaceTraining, foundation: MaceFoundation, elements: Collection[str], folder: Path
) -> Iterator[ConfigIssue]:
    if foundation.replay_dataset is not None:
        yield from _check_dataset('training.foundation.replay_dataset', foundation.replay_dataset)
    if foundation.file is not None:
        path = folder / foundation.file
        if not path.is_file() or not path.stat().st_size:
            yield ConfigIssue('training.foundation.file', f'there is no model {path}')
        return
    assert foundation.potential is not None
    node = find_node(foundation.potential)
    if isinstance(node, orm.SinglefileData):
        return
    if not isinstance(node, MacePotentialData):
        yield ConfigIssue('training.foundation.potential', f'there is no MACE potential {foundation.potential!r} here')
        return
    if node.architecture != 'ScaleShiftMACE':
        yield ConfigIssue('training.foundation.potential', f'MACE fine-tunes a ScaleShiftMACE, not this {node}')
    if node.cutoff != section.r_max:
        yield ConfigIssue('training.r_max', f'the foundation model has {node.cutoff} Å: set r_max to that')
    replay = None if foundation.replay_dataset is None else find_node(foundation.replay_dataset)
    others = [replay, *(find_node(head.dataset) for head in section.heads if head.dataset is not None)]
    needed = set(elements).union(*(dataset.e0 for dataset in others if isinstance(dataset, DatasetData)))
    if missing := sorted(needed - set(node.elements)):
        yield ConfigIssue('training.foundation.potential', f'{node} does not know {", ".join(missing)}')
    names = [str(head['name']) for head in node.heads]
    if foundation.head is not None and foundation.head not in names:
        yield ConfigIssue('training.foundation.head', f'{node} has no head {foundation.head!r}: {", ".join(names)}')
    elif isinstance(replay, DatasetData):
        level = node.heads[names.index(foundation.head) if foundation.head else -1].get('level_of_theory')
        if level is not None and [level] != replay.levels_of_theory:
            yield ConfigIssue(
                'training.foundation.replay_dataset',
                f'its labels are of another level of theory than the head that training starts from: '
                f'{describe_differences([level, *replay.levels_of_theory])}',
            )
