"""Transform ``strain``, and the strains that samplers draw."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_strain
from pydantic import Field, model_validator

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.config.kinds import TransformConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure

Component = Annotated[float, Field(gt=-0.5, lt=0.5)]


class StrainConfig(TransformConfig):
    """A homogeneous strain of cell and atoms; components are fractions."""

    type: Literal['strain'] = 'strain'
    hydrostatic: Component | None = None
    """Relative change of every length."""
    voigt: tuple[Component, Component, Component, Component, Component, Component] | None = None
    """Strain xx, yy, zz, yz, xz, xy; the shears are engineering strains γ = 2ε."""
    random: float | None = Field(default=None, gt=0, lt=0.5)
    """Each of the six components of a symmetric strain ε is uniform in [−random, random]."""

    @model_validator(mode='after')
    def _one(self) -> StrainConfig:
        if sum(value is not None for value in (self.hydrostatic, self.voigt, self.random)) != 1:
            raise ValueError('give exactly one of "hydrostatic", "voigt" and "random"')
        return self


def deform(atoms: Atoms, deformation: FloatArray) -> Atoms:
    """Copy of atoms with every vector r (Å) of positions and cell mapped to r·F.

    Parameters
    ----------
    atoms
        Any periodicity; a missing cell vector stays missing.
    deformation
        (3, 3) matrix F without unit, 1 + ε for a strain ε.
    """
    deformed = atoms.copy()
    deformed.set_cell(atoms.cell.array @ deformation)
    deformed.positions = atoms.positions @ deformation
    return deformed


def random_strain(rng: np.random.Generator, largest: float) -> FloatArray:
    """Symmetric (3, 3) strain, each of its six components uniform in [−largest, largest]."""
    components = rng.uniform(-largest, largest, size=6)
    return np.take(components, [[0, 5, 4], [5, 1, 3], [4, 3, 2]])


@register('transform', 'strain', StrainConfig)
def strain(structure: Structure, config: StrainConfig, rng: np.random.Generator) -> Structure:
    """Homogeneous strain; atoms move with the cell.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "crystal"
        name = "Cu"
        cubic = true

        [[transforms]]
        type = "strain"
        random = 0.05
    """
    if config.hydrostatic is not None:
        deformation = (1.0 + config.hydrostatic) * np.eye(3)
    elif config.random is not None:
        deformation = np.eye(3) + random_strain(rng, config.random)
    else:
        deformation = np.asarray(voigt_6_to_full_3x3_strain(config.voigt))
    return Structure(deform(structure.atoms, deformation), {}, dict(structure.provenance))
