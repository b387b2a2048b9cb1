"""Builder ``grain_boundary``: symmetric tilt boundaries of cubic crystals."""

from __future__ import annotations

import math
import warnings
from itertools import product
from typing import Annotated, Any, Literal

import numpy as np
from ase import Atoms
from pydantic import Field, model_validator
from scipy.spatial.transform import Rotation

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.atoms.conversion import from_pymatgen, to_pymatgen
from aiida_traincraft.science.atoms.sizes import check_size
from aiida_traincraft.science.config.kinds import BuilderConfig
from aiida_traincraft.science.geometry.builders.crystal import Count, Length, UnitCell, unit_cell
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure

Cubic = Literal['sc', 'fcc', 'bcc', 'diamond', 'zincblende', 'rocksalt', 'cesiumchloride', 'fluorite']
Triple = tuple[int, int, int]
Indices = tuple[
    Annotated[int, Field(ge=-20, le=20)], Annotated[int, Field(ge=-20, le=20)], Annotated[int, Field(ge=-20, le=20)]
]


class GrainBoundaryConfig(BuilderConfig):
    """Two grains that share a boundary plane, periodic in all directions: the cell holds two boundaries."""

    type: Literal['grain_boundary'] = 'grain_boundary'
    name: str = Field(pattern=r'^[A-Za-z0-9]*$')
    """Element or formula of a cubic crystal."""
    crystalstructure: Cubic | None = None
    """Prototype; ASE's reference structure of the element if left out."""
    a: Length | None = None
    """Lattice constant (Å); ASE's reference value of the element if left out."""
    axis: Indices
    """Direction that one grain is turned about."""
    sigma: int = Field(ge=3, le=100)
    """Volume of the cell of the coincidence site lattice in unit cells of the crystal, odd."""
    plane: Indices
    """Miller indices of the boundary in the first grain, with the axis in the plane."""
    grain: int = Field(default=2, ge=1, le=10)
    """Thickness of each grain in periods of the coincidence site lattice."""
    merge: float = Field(default=0.7, ge=0, lt=1)
    """Atoms of the two grains nearer to each other than this fraction of the bond length become one."""
    repeat: tuple[Count, Count] = (1, 1)
    """Repetitions in the plane of the boundary."""

    @model_validator(mode='after')
    def _tilt(self) -> GrainBoundaryConfig:
        if not any(self.axis) or not any(self.plane):
            raise ValueError('"axis" and "plane" must not be [0, 0, 0]')
        if np.dot(self.axis, self.plane) != 0:
            raise ValueError(f'"plane" {list(self.plane)} does not hold the "axis" {list(self.axis)}: no tilt boundary')
        if self.sigma % 2 == 0:
            raise ValueError('"sigma" of a cubic crystal is odd')
        return self


@register('builder', 'grain_boundary', GrainBoundaryConfig)
def build_grain_boundary(config: GrainBoundaryConfig, rng: np.random.Generator) -> Structure:
    """Symmetric tilt boundary: the same plane of the crystal meets it from both sides, normal to z.

    Before atoms are merged, the cell holds 2 · ``grain`` · ``sigma`` conventional unit cells. The boundary is as the
    lattices meet, not relaxed. Built by pymatgen (Luo et al., Comput. Mater. Sci. 158, 18 (2019)).

    Raises
    ------
    ValueError
        If the crystal is not cubic, no rotation about the axis has this sigma, or the boundary is not symmetric; the
        message lists planes that are.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "grain_boundary"
        name = "Cu"
        axis = [0, 0, 1]
        sigma = 5
        plane = [2, 1, 0]
    """
    cell = unit_cell(UnitCell(name=config.name, crystalstructure=config.crystalstructure, a=config.a, cubic=True))
    check_size(2 * config.grain * config.sigma * len(cell) * math.prod(config.repeat), '"sigma", "grain" and "repeat"')
    # Imported here: it takes seconds.
    from pymatgen.core.interface import GrainBoundaryGenerator

    # pymatgen warns of site properties that it drops itself.
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        generator = GrainBoundaryGenerator(to_pymatgen(Atoms(cell.numbers, cell.positions, cell=cell.cell, pbc=True)))
        angle = _tilt_angle(config, generator)
        try:
            boundary = generator.gb_from_parameters(
                _coprime(config.axis), angle, config.grain, plane=_coprime(config.plane), rm_ratio=config.merge
            )
        except (ValueError, ArithmeticError, RuntimeError) as error:
            raise ValueError(f'no boundary on the "plane" {list(config.plane)} can be built: {error}') from error
    atoms = from_pymatgen(boundary)
    # The first two vectors in the plane xy: the boundary is normal to z.
    cell_in_place, _ = atoms.cell.standard_form()
    placed = Atoms(atoms.numbers, scaled_positions=atoms.get_scaled_positions(), cell=cell_in_place, pbc=True)
    return Structure(placed.repeat((*config.repeat, 1)))


def is_symmetric(axis: Triple, plane: Triple, angle: float) -> bool:
    """Whether the other grain, turned by an angle (degrees), has an equivalent plane of the cubic crystal there."""
    direction = np.asarray(axis) / np.linalg.norm(axis)
    # The other grain sees the plane turned back.
    seen: FloatArray = Rotation.from_rotvec(-math.radians(angle) * direction).apply(plane)
    whole = np.round(seen)
    return bool(np.allclose(seen, whole, atol=1e-5) and sorted(np.abs(whole)) == sorted(np.abs(plane)))


def _tilt_angle(config: GrainBoundaryConfig, generator: Any) -> float:
    axis, plane = _coprime(config.axis), _coprime(config.plane)
    by_sigma: dict[int, list[float]] = generator.enum_sigma_cubic(100, axis)
    if config.sigma not in by_sigma:
        near = sorted(sorted(by_sigma, key=lambda sigma: abs(sigma - config.sigma))[:6])
        raise ValueError(
            f'"sigma" {config.sigma} does not occur about the "axis" {list(axis)}; near it are {near or "none"}'
        )
    angles = by_sigma[config.sigma]
    # The smallest angle; others are the same boundary by the symmetry of the crystal.
    found = next((angle for angle in sorted(angles) if is_symmetric(axis, plane, angle)), None)
    if found is None:
        small = range(6, -7, -1)
        offered = [
            list(other) for other in sorted(product(small, small, small), key=np.linalg.norm)
            if any(other) and _coprime(other) == other and next(index for index in other if index) > 0
            and np.dot(other, axis) == 0 and any(is_symmetric(axis, other, angle) for angle in angles)
        ][:4]  # fmt: skip
        advice = f'take one of {offered}' if offered else 'there is none with indices up to 6: take another "axis"'
        raise ValueError(
            f'"plane" {list(plane)} is no symmetric boundary of "sigma" {config.sigma} about {list(axis)}; {advice}'
        )
    return found


def _coprime(indices: Triple) -> Triple:
    h, k, third = (index // math.gcd(*indices) for index in indices)
    return h, k, third
