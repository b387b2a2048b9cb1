"""Transform ``rotate``."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator
from scipy.spatial.transform import Rotation

from aiida_traincraft.science.config.kinds import TransformConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure

Vector = tuple[float, float, float]
AXES = {'x': (1.0, 0.0, 0.0), 'y': (0.0, 1.0, 0.0), 'z': (0.0, 0.0, 1.0)}


class RotateConfig(TransformConfig):
    """A rotation by an angle about an axis."""

    type: Literal['rotate'] = 'rotate'
    angle: float = Field(ge=-360, le=360)
    """Angle (degrees), counterclockwise seen from the tip of the axis."""
    axis: Literal['x', 'y', 'z'] | Vector = 'z'
    """Axis: a Cartesian one, or a vector of any length."""
    rotate_cell: bool = False
    """Rotate the cell with the atoms, about the origin; else the atoms alone, about their centre."""

    @model_validator(mode='after')
    def _direction(self) -> RotateConfig:
        if not isinstance(self.axis, str) and not 1e-6 < np.linalg.norm(self.axis) < 1e6:
            raise ValueError(f'"axis" {list(self.axis)} is no direction')
        return self


@register('transform', 'rotate', RotateConfig)
def rotate(structure: Structure, config: RotateConfig, rng: np.random.Generator) -> Structure:
    """Rotation of the atoms, with or without the cell; momenta turn with the atoms.

    Without the cell, what is bonded across a periodic border changes; this is meant for molecules and clusters.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "crystal"
        name = "Ti"

        [[transforms]]
        type = "rotate"
        angle = 30.0
        axis = "x"
        rotate_cell = true
    """
    atoms = structure.atoms.copy()
    axis = np.array(AXES[config.axis] if isinstance(config.axis, str) else config.axis)
    turn = Rotation.from_rotvec(np.radians(config.angle) * axis / np.linalg.norm(axis)).as_matrix()
    centre = np.zeros(3) if config.rotate_cell else atoms.positions.mean(axis=0)
    atoms.positions = (atoms.positions - centre) @ turn.T + centre
    if config.rotate_cell:
        atoms.set_cell(atoms.cell.array @ turn.T)
    if 'momenta' in atoms.arrays:
        atoms.arrays['momenta'] = atoms.arrays['momenta'] @ turn.T
    return Structure(atoms, {}, dict(structure.provenance))
