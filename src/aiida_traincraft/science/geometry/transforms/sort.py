"""Transform ``sort``: the order of the atoms."""

from __future__ import annotations

from typing import Literal

import numpy as np

from aiida_traincraft.science.atoms.fragments import get_fragments
from aiida_traincraft.science.config.kinds import TransformConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure

DECIMALS = 3
"""Coordinates (Å) that agree to so many decimals are one layer."""


class SortConfig(TransformConfig):
    """What the atoms are sorted by; those that are equal in it keep their order."""

    type: Literal['sort'] = 'sort'
    by: Literal['element', 'position', 'fragment'] = 'element'
    """Chemical symbol, alphabetically; height z, then y, then x; or number of the molecule, framework first."""


@register('transform', 'sort', SortConfig)
def sort(structure: Structure, config: SortConfig, rng: np.random.Generator) -> Structure:
    """Atoms in another order; per-atom arrays and constraints follow them.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "crystal"
        name = "NaCl"
        crystalstructure = "rocksalt"
        a = 5.64
        repeat = [2, 2, 1]

        [[transforms]]
        type = "sort"
        by = "element"
    """
    atoms = structure.atoms
    if config.by == 'element':
        order = np.argsort(np.array(atoms.get_chemical_symbols()), kind='stable')
    elif config.by == 'fragment':
        order = np.argsort(get_fragments(atoms), kind='stable')
    else:
        # Adding 0.0 turns −0.0 into 0.0; the last key is the first to sort by.
        order = np.lexsort((np.round(atoms.positions, DECIMALS) + 0.0).T)
    return Structure(atoms[order], {}, dict(structure.provenance))
