"""Transform ``interstitial``: atoms added between those of a crystal."""

from __future__ import annotations

from typing import Literal

import numpy as np

from aiida_traincraft.science.config.kinds import TransformConfig
from aiida_traincraft.science.geometry.defects import Interstitial, insert
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure


class InterstitialConfig(TransformConfig, Interstitial):
    """Interstitials of an exact number, or one at a place."""

    type: Literal['interstitial'] = 'interstitial'


@register('transform', 'interstitial', InterstitialConfig)
def interstitial(structure: Structure, config: InterstitialConfig, rng: np.random.Generator) -> Structure:
    """Atoms in the largest voids, or one at a place; the others keep their order, places and fragments.

    Raises
    ------
    ValueError
        If the structure is no crystal, or has no room for them.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "crystal"
        name = "Pd"
        cubic = true
        repeat = [2, 2, 2]

        [[transforms]]
        type = "interstitial"
        element = "H"
        count = 2
    """
    atoms = structure.atoms.copy()
    if not atoms.pbc.all():
        raise ValueError(
            f'"interstitial" fills voids of a crystal, but {structure.formula} is not periodic in three directions'
        )
    insert(atoms, config, rng)
    return Structure(atoms, {}, dict(structure.provenance))
