"""Transform ``supercell``."""

from __future__ import annotations

from typing import Literal

import numpy as np
from ase import Atoms
from ase.build import find_optimal_cell_shape, make_supercell
from ase.cell import Cell
from pydantic import Field, model_validator

from aiida_traincraft.science.atoms.arrays import BoolArray, FloatArray, IntArray
from aiida_traincraft.science.atoms.fragments import FRAGMENT, FRAMEWORK, get_fragments, repeat, set_fragments, unwrap
from aiida_traincraft.science.atoms.sizes import check_size
from aiida_traincraft.science.config.kinds import TransformConfig
from aiida_traincraft.science.geometry.builders.crystal import Count
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure

Row = tuple[int, int, int]
SMALLEST_SHARE = 0.75
"""A cubic cell may be this much smaller than ``target_atoms`` asks, where that makes it more cubic."""


class SupercellConfig(TransformConfig):
    """A larger cell of the same crystal."""

    type: Literal['supercell'] = 'supercell'
    repeat: tuple[Count, Count, Count] | None = None
    """Repetitions along the three cell vectors."""
    matrix: tuple[Row, Row, Row] | None = None
    """Rows are the new cell vectors in units of the old ones, in place of ``repeat``."""
    target_atoms: int | None = Field(default=None, ge=1)
    """Most atoms of the new cell, in place of ``repeat``."""
    target_length: float | None = Field(default=None, gt=0)
    """Smallest width of the new cell between opposite faces (Å), in place of ``repeat``."""
    shape: Literal['any', 'cubic'] = 'any'
    """Shape of a cell of target size: repetitions of the old vectors along the periodic directions, or any vectors
    that make it nearly cubic (three periodic directions only)."""

    @model_validator(mode='after')
    def _one(self) -> SupercellConfig:
        given = (self.repeat, self.matrix, self.target_atoms, self.target_length)
        if sum(value is not None for value in given) != 1:
            raise ValueError('give exactly one of "repeat", "matrix", "target_atoms" and "target_length"')
        if self.shape != 'any' and (self.repeat is not None or self.matrix is not None):
            raise ValueError('"shape" goes with "target_atoms" and "target_length"')
        if self.matrix is not None and (determinant := round(np.linalg.det(self.matrix))) < 1:
            raise ValueError(f'"matrix" has determinant {determinant}; it must be positive: swap or change its rows')
        return self


@register('transform', 'supercell', SupercellConfig)
def supercell(structure: Structure, config: SupercellConfig, rng: np.random.Generator) -> Structure:
    """Supercell; per-atom arrays are repeated with the atoms, and every image of a molecule is one of its own.

    Raises
    ------
    ValueError
        If the cell would be too large, is larger already than the target, or is not periodic where it must be.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "crystal"
        name = "Cu"

        [[transforms]]
        type = "supercell"
        target_atoms = 32
        shape = "cubic"
    """
    atoms = structure.atoms
    if config.repeat is not None:
        check_size(float(len(atoms)) * np.prod(config.repeat, dtype=float), '"repeat"')
        large = repeat(atoms, config.repeat)
    else:
        if config.matrix is not None:
            key, matrix = 'matrix', np.array(config.matrix)
        else:
            key, matrix = _of_target_size(atoms, config)
        check_size(len(atoms) * float(np.linalg.det(matrix)), f'"{key}"')
        large = _tile(atoms, matrix)
    return Structure(large, {}, dict(structure.provenance))


def _tile(atoms: Atoms, matrix: IntArray) -> Atoms:
    """Supercell of any vectors; molecules across the border are made whole before their images are counted."""
    if not (matrix - np.diag(np.diag(matrix))).any():
        return repeat(atoms, (int(matrix[0, 0]), int(matrix[1, 1]), int(matrix[2, 2])))
    if (missing := ~atoms.cell.mask()).any():
        raise ValueError(f'"matrix" mixes the cell vectors, but there is none along {_names(missing)}')
    large = make_supercell(unwrap(atoms) if FRAGMENT in atoms.arrays else atoms, matrix)
    images = len(large) // len(atoms)
    large.set_constraint([constraint.copy().repeat((images, 1, 1), len(atoms)) for constraint in atoms.constraints])
    if FRAGMENT in atoms.arrays:
        fragments = get_fragments(atoms)
        many = int(fragments.max(initial=FRAMEWORK)) + 1
        numbers, image = np.tile(fragments, images), np.repeat(np.arange(images), len(atoms))
        set_fragments(large, np.where(numbers >= 0, numbers + many * image, FRAMEWORK))
    return large


def _of_target_size(atoms: Atoms, config: SupercellConfig) -> tuple[str, IntArray]:
    """Key that asks for it, and matrix of the supercell."""
    key = 'target_atoms' if config.target_atoms is not None else 'target_length'
    if not atoms.pbc.any() or (atoms.pbc & ~atoms.cell.mask()).any():
        raise ValueError(f'"{key}" needs a periodic direction with a cell vector: use "repeat"')
    if config.shape == 'cubic' and not atoms.pbc.all():
        raise ValueError(f'"shape" "cubic" needs three periodic directions; not periodic: {_names(~atoms.pbc)}')
    if config.target_length is not None:
        # The volume bounds the number of atoms from below, whatever the shape.
        images = np.maximum(1.0, config.target_length / _widths(atoms))[atoms.pbc].prod()
        check_size(len(atoms) * float(images), f'"{key}"')
        return key, _of_width(atoms, config.target_length, config.shape)
    assert config.target_atoms is not None
    check_size(config.target_atoms, f'"{key}"')
    if config.target_atoms < len(atoms):
        raise ValueError(f'"{key}" is {config.target_atoms}, but there are {len(atoms)} atoms already: raise it')
    return key, _of_count(atoms, config.target_atoms // len(atoms), config.shape)


def _of_count(atoms: Atoms, most: int, shape: str) -> IntArray:
    """At most so many cells: the narrowest direction is repeated first, or the most cubic of those tried."""
    counts, widths = np.ones(3, dtype=np.int64), _widths(atoms)
    while True:
        narrowest = int(np.argmin(np.where(atoms.pbc, counts * widths, np.inf)))
        counts[narrowest] += 1
        if counts.prod() > most:
            counts[narrowest] -= 1
            break
    if shape == 'any':
        return np.diag(counts)
    best = np.rint(find_optimal_cell_shape(atoms.cell.array, most, 'sc')).astype(np.int64)
    # A left-handed matrix of the same vectors reversed is right-handed.
    candidates = [best * round(np.sign(np.linalg.det(best)))]
    edge = (most * atoms.cell.volume) ** (1 / 3)
    candidates += [
        matrix
        for matrix in (*_nearly_cubic(atoms, np.linspace(0.85, 1.05, 41) * edge), np.diag(counts))
        if SMALLEST_SHARE * most <= np.linalg.det(matrix) < most + 0.5
    ]
    return min(candidates, key=lambda matrix: (_deviation(atoms, matrix), -np.linalg.det(matrix)))


def _of_width(atoms: Atoms, width: float, shape: str) -> IntArray:
    """Smallest cell of at least this width (Å)."""
    counts = np.where(atoms.pbc, np.ceil(width / _widths(atoms) - 1e-9), 1).astype(np.int64)
    diagonal: IntArray = np.diag(np.maximum(counts, 1))
    if shape == 'any':
        return diagonal
    candidates = [
        matrix
        for matrix in (*_nearly_cubic(atoms, np.linspace(1.0, 1.5, 101) * width), diagonal)
        if (_widths(atoms, matrix) > width * (1 - 1e-9)).all()
    ]
    return min(candidates, key=lambda matrix: (round(np.linalg.det(matrix)), _deviation(atoms, matrix)))


def _nearly_cubic(atoms: Atoms, edges: FloatArray) -> list[IntArray]:
    """Right-handed matrices of the cells nearest to cubes with these edges (Å)."""
    inverse = np.linalg.inv(atoms.cell.array)
    matrices = [np.rint(edge * inverse).astype(np.int64) for edge in edges]
    return [matrix for matrix in matrices if np.linalg.det(matrix) > 0.5]


def _deviation(atoms: Atoms, matrix: IntArray) -> float:
    """How far from a cube, without unit: with the edges of a cube of its volume, a cell is one (Hadamard)."""
    cell = Cell(matrix @ atoms.cell.array)
    return round(float(np.linalg.norm(cell.lengths() / cell.volume ** (1 / 3) - 1.0)), 6)


def _widths(atoms: Atoms, matrix: IntArray | None = None) -> FloatArray:
    """Distances (3,) in Å between opposite faces of the cell or the supercell."""
    cell = atoms.cell.complete() if matrix is None else Cell(matrix @ atoms.cell.array)
    return np.asarray(1.0 / np.linalg.norm(cell.reciprocal(), axis=1))


def _names(directions: BoolArray) -> str:
    return ', '.join(name for name, there in zip('abc', directions.tolist(), strict=True) if there)
