"""Transform ``perturb``: random displacements."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from aiida_traincraft.science.config.kinds import TransformConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure


class PerturbConfig(TransformConfig):
    """Gaussian displacements."""

    aliases: ClassVar[tuple[str, ...]] = ('rattle', 'displace')
    type: Literal['perturb'] = 'perturb'
    stdev: float = Field(gt=0, le=10)
    """Standard deviation of each Cartesian component (Å)."""


@register('transform', 'perturb', PerturbConfig)
def perturb(structure: Structure, config: PerturbConfig, rng: np.random.Generator) -> Structure:
    """Gaussian displacement of every atom.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "crystal"
        name = "Cu"
        cubic = true
        repeat = [2, 2, 2]

        [[transforms]]
        type = "perturb"
        stdev = 0.1
    """
    atoms = structure.atoms.copy()
    atoms.positions += rng.normal(scale=config.stdev, size=atoms.positions.shape)
    return Structure(atoms, {}, dict(structure.provenance))
