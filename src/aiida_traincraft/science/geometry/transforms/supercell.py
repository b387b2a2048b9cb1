"""Transform ``supercell``."""

from __future__ import annotations

from typing import Literal

import numpy as np
from ase.build import make_supercell
from pydantic import model_validator

from aiida_traincraft.science.config.base import PluginConfig
from aiida_traincraft.science.geometry.builders.crystal import Count
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure

Row = tuple[int, int, int]


class SupercellConfig(PluginConfig):
    """A larger cell of the same crystal."""

    type: Literal['supercell'] = 'supercell'
    repeat: tuple[Count, Count, Count] | None = None
    """Repetitions along the three cell vectors."""
    matrix: tuple[Row, Row, Row] | None = None
    """Rows are the new cell vectors in units of the old ones, in place of ``repeat``."""

    @model_validator(mode='after')
    def _one(self) -> SupercellConfig:
        if (self.repeat is None) == (self.matrix is None):
            raise ValueError('give exactly one of "repeat" and "matrix"')
        if self.matrix is not None and (determinant := round(np.linalg.det(self.matrix))) < 1:
            raise ValueError(f'"matrix" has determinant {determinant}; it must be positive: swap or change its rows')
        return self


@register('transform', 'supercell', SupercellConfig)
def supercell(structure: Structure, config: SupercellConfig, rng: np.random.Generator) -> Structure:
    """Supercell; per-atom arrays are repeated with the atoms."""
    if config.repeat is not None:
        atoms = structure.atoms.repeat(config.repeat)
    else:
        atoms = make_supercell(structure.atoms, np.array(config.matrix))
    return Structure(atoms, {}, dict(structure.provenance))
