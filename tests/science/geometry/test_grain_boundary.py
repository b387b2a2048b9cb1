"""Builder ``grain_boundary``."""

import numpy as np
import pytest
import spglib
from ase.neighborlist import neighbor_list
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

from aiida_traincraft.science.geometry.builders.grain_boundary import (
    GrainBoundaryConfig,
    build_grain_boundary,
    is_symmetric,
)

SIGMA5 = {'name': 'Cu', 'a': 3.6, 'axis': (0, 0, 1), 'sigma': 5, 'plane': (2, 1, 0)}


def build(**keys):
    return build_grain_boundary(GrainBoundaryConfig(**SIGMA5 | keys), np.random.default_rng(0)).atoms


def nearest(atoms):
    return neighbor_list('d', atoms, 4.0).min()


CASES = [
    ({}, 5, 4),
    ({'plane': (3, 1, 0)}, 5, 4),
    ({'axis': (1, 1, 0), 'sigma': 3, 'plane': (1, -1, 1)}, 3, 4),
    ({'axis': (1, 1, 0), 'sigma': 11, 'plane': (1, -1, 3)}, 11, 4),
    ({'name': 'Fe', 'a': 2.87}, 5, 2),
    ({'name': 'Si', 'a': 5.43, 'axis': (1, 1, 0), 'sigma': 3, 'plane': (1, -1, 1)}, 3, 8),
]


@pytest.mark.parametrize(('keys', 'sigma', 'per_cell'), CASES)
def test_cell_holds_whole_cells_of_the_coincidence_lattice(keys, sigma, per_cell):
    # Nothing merged: two grains of two periods.
    atoms = build(**keys, merge=0.0)
    assert len(atoms) == 2 * 2 * sigma * per_cell
    density = len(atoms) / atoms.get_volume()
    assert density == pytest.approx(per_cell / (SIGMA5 | keys)['a'] ** 3, rel=0.02)


@pytest.mark.parametrize(('keys', 'sigma', 'per_cell'), CASES)
def test_merging_keeps_atoms_apart(keys, sigma, per_cell):
    merged = build(**keys)
    bond = (SIGMA5 | keys)['a'] * {4: np.sqrt(1 / 2), 2: np.sqrt(3) / 2, 8: np.sqrt(3) / 4}[per_cell]
    assert nearest(merged) > 0.7 * bond
    assert 0.85 * 4 * sigma * per_cell < len(merged) <= 4 * sigma * per_cell


def test_planes_of_the_crystal_are_parallel_to_the_boundary():
    atoms = build(merge=0.0)
    heights = np.unique(np.round(atoms.positions[:, 2], 3))
    # Spacing of (210) in both grains: the tilt is symmetric.
    assert np.diff(heights) == pytest.approx(3.6 / np.sqrt(5) / 2, abs=2e-3)
    assert atoms.cell.angles() == pytest.approx([90, 90, 90])
    assert atoms.pbc.all()


def test_mirror_at_the_boundary():
    atoms = build(merge=0.0)
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    mirror = np.diag([1, 1, -1])
    assert any((rotation == mirror).all() for rotation in spglib.get_symmetry(cell, 1e-2)['rotations'])


def test_the_rotation_has_the_sigma():
    angle = np.degrees(2 * np.arctan(1 / 2))  # 53.13 degrees
    turn = Rotation.from_rotvec(np.radians(angle) * np.array([0, 0, 1])).as_matrix()
    assert np.allclose(5 * turn, np.round(5 * turn))
    assert is_symmetric((0, 0, 1), (2, 1, 0), angle)
    assert not is_symmetric((0, 0, 1), (2, 1, 0), 90 - angle)


def test_repeat_in_the_plane():
    assert len(build(repeat=(3, 1))) == 3 * len(build())


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'plane': (4, 1, 0)}, r'no symmetric boundary of "sigma" 5.*\[2, 1, 0\]'),
        ({'sigma': 7}, r'"sigma" 7 does not occur about.*\[5, 13'),
        ({'name': 'Mg', 'a': None}, 'no crystal can be built'),
        ({'repeat': (100, 100)}, '"sigma", "grain" and "repeat" asks for'),
    ],
)
def test_impossible_boundaries(keys, message):
    with pytest.raises(ValueError, match=message):
        build(**keys)


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'plane': (2, 1, 1)}, 'does not hold the "axis"'),
        ({'sigma': 4}, 'is odd'),
        ({'axis': (0, 0, 0)}, r'must not be \[0, 0, 0\]'),
        ({'grain': 0}, 'greater than or equal to 1'),
    ],
)
def test_config_limits(keys, message):
    with pytest.raises(ValidationError, match=message):
        GrainBoundaryConfig(**SIGMA5 | keys)
