"""Transform ``set_pbc``: which directions are periodic."""

from __future__ import annotations

from typing import Literal

import numpy as np

from aiida_traincraft.science.config.kinds import TransformConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure


class SetPbcConfig(TransformConfig):
    """Periodic directions; atoms and cell stay."""

    type: Literal['set_pbc'] = 'set_pbc'
    pbc: bool | tuple[bool, bool, bool]
    """Periodic along the three cell vectors: one value for all, or one for each."""


@register('transform', 'set_pbc', SetPbcConfig)
def set_pbc(structure: Structure, config: SetPbcConfig, rng: np.random.Generator) -> Structure:
    """Periodic directions, set; atoms and cell stay.

    Raises
    ------
    ValueError
        If a periodic direction has no cell vector.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "slab"
        name = "Cu"
        facet = "fcc111"

        [[transforms]]
        type = "set_pbc"
        pbc = [true, true, false]
    """
    atoms = structure.atoms.copy()
    atoms.set_pbc(config.pbc)
    if missing := [name for name, absent in zip('abc', atoms.pbc & ~atoms.cell.mask(), strict=True) if absent]:
        raise ValueError(
            f'"pbc" asks for a periodic direction along {", ".join(missing)}, where the cell has no vector: '
            'add the transform "vacuum" before'
        )
    return Structure(atoms, {}, dict(structure.provenance))
