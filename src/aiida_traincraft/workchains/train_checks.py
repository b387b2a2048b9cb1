"""What a trainer needs, found out and filled in before anything is stored."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from aiida import orm

from aiida_traincraft.data.mace_potential import MacePotentialData
from aiida_traincraft.data.potential import PacePotentialData
from aiida_traincraft.data.reading import find_node
from aiida_traincraft.science.config.base import ConfigIssue, PluginConfig
from aiida_traincraft.science.config.mace import MaceTraining
from aiida_traincraft.workchains.mace_checks import check_mace


def check_trainer(
    section: PluginConfig, elements: Collection[str], folder: Path, explores: bool = True
) -> list[ConfigIssue]:
    """Check that the potential to start from is there and knows the elements, and what else the trainer needs.

    Parameters
    ----------
    section
        A section ``[training]``.
    elements
        Elements of the campaign.
    folder
        Folder that paths of files refer to.
    explores
        Whether the potential is to drive an exploration.
    """
    if isinstance(section, MaceTraining):
        return check_mace(section, elements, folder, explores)
    uuid = getattr(section, 'initial_potential', None)
    if uuid is None:
        return []
    node = find_node(uuid)
    if node is None:
        return [ConfigIssue('training.initial_potential', f'there is no node {uuid!r} in this profile')]
    if not isinstance(node, PacePotentialData):
        return [ConfigIssue('training.initial_potential', f'{uuid!r} is no ACE potential but {node}')]
    if node.cutoff != section.cutoff:  # type: ignore[attr-defined]
        return [ConfigIssue('training.cutoff', f'the initial potential has {node.cutoff} Å: set the cutoff to that')]
    if missing := sorted(set(elements) - set(node.elements)):
        names = ', '.join(missing)
        return [ConfigIssue('training.initial_potential', f'{node} does not know {names}: train a new potential')]
    return []


def complete_trainer(content: dict[str, Any], folder: Path) -> orm.SinglefileData | None:
    """Name the foundation model of a checked section by a node and by its head.

    Parameters
    ----------
    content
        Content of a section ``[training]``, changed in place.
    folder
        Folder that the path of the model's file refers to.

    Returns
    -------
    SinglefileData or None
        The node, not stored yet, that a file has become.
    """
    foundation = content.get('foundation')
    if foundation is None:
        return None
    if foundation['file'] is not None:
        node = orm.SinglefileData((folder / foundation['file']).resolve())
        foundation |= {'file': None, 'potential': node.uuid}
        return node
    potential = orm.load_node(foundation['potential'])
    if foundation['head'] is None and isinstance(potential, MacePotentialData):
        # MACE itself would take the first.
        foundation['head'] = str(potential.heads[-1]['name'])
    return None
