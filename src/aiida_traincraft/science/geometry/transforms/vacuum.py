"""Transform ``vacuum``: empty space on both sides of what is there."""

from __future__ import annotations

from typing import Literal

import numpy as np
from ase import Atoms
from pydantic import Field

from aiida_traincraft.science.atoms.fragments import FRAGMENT, unwrap
from aiida_traincraft.science.config.kinds import TransformConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure

AXES = {'a': (0,), 'b': (1,), 'c': (2,), 'all': (0, 1, 2)}


class VacuumConfig(TransformConfig):
    """Vacuum along a cell vector, or along all three."""

    type: Literal['vacuum'] = 'vacuum'
    thickness: float = Field(ge=0, le=1000)
    """From the outermost atom to the border of the cell, on each side, along the normal of the other two vectors
    (Å)."""
    axis: Literal['a', 'b', 'c', 'all'] = 'c'
    """Cell vector that is made longer or shorter."""
    periodic: bool = False
    """Periodic along this vector, as plane-wave codes need it."""


@register('transform', 'vacuum', VacuumConfig)
def vacuum(structure: Structure, config: VacuumConfig, rng: np.random.Generator) -> Structure:
    """Vacuum of exact thickness on both sides; what was there before is replaced.

    A periodic structure is cut at its widest gap along the vector, but no molecule (``tc_fragment``) is cut.

    Raises
    ------
    ValueError
        If the cell would have no width.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "crystal"
        name = "Cu"
        cubic = true
        repeat = [2, 2, 2]

        [[transforms]]
        type = "vacuum"
        thickness = 7.5
    """
    atoms = structure.atoms.copy()
    axes = AXES[config.axis]
    for axis in axes:
        if atoms.pbc[axis] and atoms.cell.rank == 3:
            _cut_at_widest_gap(atoms, axis)
    if FRAGMENT in atoms.arrays and atoms.cell.rank:
        atoms = unwrap(atoms)
    flat = [name for name, axis in zip('abc', range(3), strict=True) if axis in axes and _flat(atoms, axis)]
    if flat and not config.thickness:
        raise ValueError(f'"thickness" 0 leaves a cell without width along {", ".join(flat)}: give a positive one')
    atoms.center(vacuum=config.thickness, axis=axes)
    pbc = atoms.pbc.copy()
    pbc[list(axes)] = config.periodic
    atoms.set_pbc(pbc)
    return Structure(atoms, {}, dict(structure.provenance))


def _cut_at_widest_gap(atoms: Atoms, axis: int) -> None:
    scaled = atoms.get_scaled_positions(wrap=False)
    # An atom a rounding error below the border lies on it.
    fractions = (scaled[:, axis] + 1e-9) % 1.0 - 1e-9
    ordered = np.sort(fractions)
    gaps = np.append(1.0 + ordered[0] - ordered[-1], np.diff(ordered))
    # Of equally wide gaps the one at the border stays: a crystal is not shifted.
    widest = int(np.argmax(gaps > gaps.max() - 1e-6))
    border = ordered[widest] - 0.5 * gaps[widest]
    scaled[:, axis] = (fractions - border) % 1.0 + border
    atoms.set_scaled_positions(scaled)


def _flat(atoms: Atoms, axis: int) -> bool:
    """Whether all atoms lie in one plane of the other two cell vectors."""
    cell = atoms.cell.complete()
    normal = np.cross(cell[(axis + 1) % 3], cell[(axis + 2) % 3])
    return bool(np.ptp(atoms.positions @ (normal / np.linalg.norm(normal))) < 1e-3)
