"""Sampler ``scan``: a part of the structure moved over a grid, rigidly."""

from __future__ import annotations

import itertools
from typing import Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from pydantic import Field, model_validator
from scipy.spatial.transform import Rotation

from aiida_traincraft.science.atoms.arrays import BoolArray, FloatArray
from aiida_traincraft.science.atoms.distances import minimum_distance
from aiida_traincraft.science.atoms.fragments import get_fragments, unwrap
from aiida_traincraft.science.config.base import StrictModel
from aiida_traincraft.science.config.kinds import SamplerConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.sampling import SamplingRun, Watch
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.workspace import Workspace

MOST_FRAMES = 10_000


class ScanAxis(StrictModel):
    """One coordinate of the grid."""

    coordinate: Literal['translation', 'rotation', 'distance', 'angle']
    """Shift along ``direction`` (Å), turn about ``direction`` through the centre of mass (degrees), distance of two
    atoms (Å), or angle of three (degrees)."""
    start: float
    """First value (Å or degrees)."""
    stop: float
    """Last value (Å or degrees)."""
    n: int = Field(ge=1, le=MOST_FRAMES)
    """Values, evenly spaced."""
    direction: tuple[float, float, float] | None = None
    """Cartesian direction of a translation or rotation, of any length."""
    atoms: tuple[int, ...] | None = None
    """Indices of the atoms of a distance or angle, from 0: only the last of them moves."""

    @model_validator(mode='after')
    def _complete(self) -> ScanAxis:
        wanted = {'distance': 2, 'angle': 3}.get(self.coordinate)
        if wanted is None:
            if self.direction is None or self.atoms is not None or not any(self.direction):
                raise ValueError(f'a {self.coordinate} needs a "direction" that is not zero, and no "atoms"')
        elif self.direction is not None or not len(self.atoms or ()) == len(set(self.atoms or ())) == wanted:
            raise ValueError(f'a {self.coordinate} needs {wanted} different "atoms", and no "direction"')
        if self.coordinate == 'distance' and min(self.start, self.stop) <= 0:
            raise ValueError('"start" and "stop" of a distance must be above 0 Å')
        if self.coordinate == 'angle' and not 0 <= min(self.start, self.stop) <= max(self.start, self.stop) <= 180:
            raise ValueError('"start" and "stop" of an angle must be within 0 and 180 degrees')
        return self

    @property
    def values(self) -> list[float]:
        """Values on the axis, in order."""
        return [float(value) for value in np.linspace(self.start, self.stop, self.n)]


class ScanConfig(SamplerConfig):
    """A rigid scan: everything but the moved part stays where it is."""

    needs_calculator: ClassVar[bool] = False
    type: Literal['scan'] = 'scan'
    axes: tuple[ScanAxis, ...] = Field(min_length=1, max_length=6)
    """Coordinates of the grid, applied in this order; the last one changes fastest."""
    fragment: int | None = Field(default=None, ge=0)
    """Number of the molecule that moves."""
    moving: tuple[int, ...] | None = None
    """Indices of the atoms that move, in place of ``fragment``."""
    min_distance: float = Field(default=0.5, ge=0)
    """Points with two atoms closer than this fraction of the sum of their covalent radii are left out."""

    @model_validator(mode='after')
    def _consistent(self) -> ScanConfig:
        if (self.fragment is None) == (not self.moving):
            raise ValueError('give either "fragment" or "moving"')
        frames = int(np.prod([axis.n for axis in self.axes], dtype=float))
        if frames > MOST_FRAMES:
            raise ValueError(f'"axes" ask for {frames} frames, more than {MOST_FRAMES}: lower their "n"')
        return self


@register('sampler', 'scan', ScanConfig)
def scan(
    structure: Structure,
    calculator: Any,
    workspace: Workspace | None,
    config: ScanConfig,
    rng: np.random.Generator,
    watch: Watch | None,
) -> SamplingRun:
    """Rigid scan of distances, angles, positions and orientations of a molecule; needs no calculator.

    Frames come in the order of the grid, those that are too dense left out; their provenance has the values of the
    coordinates (``scan``).

    Raises
    ------
    ValueError
        If atoms do not exist or would not move, or every point is too dense.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "molecule"
        name = "H2O"

        [sampling]
        type = "scan"
        moving = [2]
        axes = [
            { coordinate = "distance", atoms = [0, 2], start = 0.8, stop = 1.4, n = 4 },
            { coordinate = "angle", atoms = [1, 0, 2], start = 90.0, stop = 120.0, n = 3 },
        ]
    """
    start = unwrap(structure.atoms)
    moving = _moving(start, config)
    run = SamplingRun()
    for values in itertools.product(*(axis.values for axis in config.axes)):
        run.steps += 1
        atoms = start.copy()
        for axis, value in zip(config.axes, values, strict=True):
            _move(atoms, moving, axis, value)
        if minimum_distance(atoms) >= config.min_distance:
            facts = {'frame': len(run.frames), 'scan': [round(value, 6) for value in values]}
            run.frames.append(Structure(atoms, {}, structure.provenance | facts))
    if not run.frames:
        raise ValueError(
            f'at all {run.steps} points of the scan two atoms are closer than "min_distance" ({config.min_distance} of '
            'their covalent radii)'
        )
    return run


def _moving(atoms: Atoms, config: ScanConfig) -> BoolArray:
    """Which atoms move (n_atoms,)."""
    named = [*(config.moving or ()), *(index for axis in config.axes for index in axis.atoms or ())]
    if named and not 0 <= min(named) <= max(named) < len(atoms):
        wrong = next(index for index in named if not 0 <= index < len(atoms))
        raise ValueError(f'"moving" or "atoms" of an axis names atom {wrong}; there are 0 to {len(atoms) - 1}')
    if config.fragment is not None:
        found = get_fragments(atoms) == config.fragment
        if not found.any():
            numbers = sorted(set(get_fragments(atoms).tolist()) - {-1})
            raise ValueError(f'there is no "fragment" {config.fragment}; the structure has {numbers}')
    else:
        found = np.isin(np.arange(len(atoms)), config.moving or ())
    for axis in config.axes:
        if axis.atoms is not None and (found[list(axis.atoms[:-1])].any() or not found[axis.atoms[-1]]):
            raise ValueError(f'of "atoms" {list(axis.atoms)} the last one must move and the others not')
    return np.asarray(found)


def _move(atoms: Atoms, moving: BoolArray, axis: ScanAxis, value: float) -> None:
    if axis.coordinate == 'translation':
        atoms.positions[moving] += value * _unit(np.array(axis.direction, dtype=float))
    elif axis.coordinate == 'rotation':
        masses = atoms.get_masses()[moving]
        centre = masses @ atoms.positions[moving] / masses.sum()
        _turn(atoms, moving, centre, _unit(np.array(axis.direction, dtype=float)), value)
    elif axis.coordinate == 'distance':
        assert axis.atoms is not None
        between = atoms.get_distance(*axis.atoms, mic=True, vector=True)
        atoms.positions[moving] += (value - np.linalg.norm(between)) * _unit(between)
    else:
        assert axis.atoms is not None
        end, corner, moved = axis.atoms
        arms = [atoms.get_distance(corner, other, mic=True, vector=True) for other in (end, moved)]
        normal = np.cross(*arms)
        if np.linalg.norm(normal) < 1e-6:
            # Three atoms on a line span no plane: any will do.
            normal = np.cross(arms[0], np.eye(3)[np.argmin(np.abs(arms[0]))])
        present = np.degrees(np.arctan2(np.linalg.norm(np.cross(*arms)), arms[0] @ arms[1]))
        # Around the image of the corner next to the atom that moves.
        _turn(atoms, moving, atoms.positions[moved] - arms[1], _unit(normal), value - present)


def _turn(atoms: Atoms, moving: BoolArray, centre: FloatArray, axis: FloatArray, angle: float) -> None:
    turn = Rotation.from_rotvec(axis * np.radians(angle))
    atoms.positions[moving] = turn.apply(atoms.positions[moving] - centre) + centre


def _unit(vector: FloatArray) -> FloatArray:
    return np.asarray(vector / np.linalg.norm(vector))
