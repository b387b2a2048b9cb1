"""Builders ``nanotube`` and ``filled_nanotube``."""

import numpy as np
import pytest
from ase.build import nanotube
from pydantic import ValidationError

from aiida_traincraft.science.atoms.fragments import get_fragments
from aiida_traincraft.science.geometry.builders.filled_nanotube import FilledNanotubeConfig, build_filled_nanotube
from aiida_traincraft.science.geometry.builders.nanotube import NanotubeConfig, build_nanotube

BOND = 1.42


def build(**keys):
    return build_nanotube(NanotubeConfig(**keys), np.random.default_rng(0)).atoms


def fill(seed=0, **keys):
    tube = {'n': 8, 'm': 8, 'length': 5} | keys.pop('tube', {})
    return build_filled_nanotube(FilledNanotubeConfig(tube=tube, **keys), np.random.default_rng(seed)).atoms


@pytest.mark.parametrize(('n', 'm'), [(5, 5), (8, 0), (0, 8), (6, 3), (3, 6), (4, 1), (7, 5)])
def test_radius_period_and_count(n, m):
    atoms = build(n=n, m=m)
    a, squares = np.sqrt(3) * BOND, n * n + n * m + m * m
    divisor = np.gcd(2 * n + m, 2 * m + n)
    radii = np.linalg.norm((atoms.positions - atoms.cell.array.sum(axis=0) / 2)[:, :2], axis=1)
    assert np.allclose(radii, a * np.sqrt(squares) / (2 * np.pi), atol=0.02)
    assert np.ptp(atoms.positions[:, 0]) / 2 <= a * np.sqrt(squares) / (2 * np.pi) + 1e-9
    assert len(atoms) == 4 * squares // divisor == len(nanotube(n, m, bond=BOND))
    assert atoms.cell[2, 2] == pytest.approx(np.sqrt(3) * a * np.sqrt(squares) / divisor)
    assert atoms.cell[2, 2] == pytest.approx(nanotube(n, m, bond=BOND).cell[2, 2])


@pytest.mark.parametrize('name', ['C', 'BN'])
def test_every_atom_has_three_neighbours(name):
    atoms = build(name=name, n=6, m=4)
    distances = atoms.get_all_distances(mic=True)
    near = (distances > 0.1) & (distances < 1.6)
    assert (near.sum(axis=1) == 3).all()
    if name == 'BN':
        first, second = np.nonzero(near)
        assert (atoms.numbers[first] != atoms.numbers[second]).all()


def fingerprint(atoms):
    """Signed volumes (Å³) of atom, neighbours and second neighbours: change sign in the mirror."""
    atoms = atoms.repeat((1, 1, 3))
    vectors = atoms.get_all_distances(mic=True, vector=True)
    lengths = np.linalg.norm(vectors, axis=-1)
    axis = np.array([0, 0, 1.0])
    outward = (atoms.positions - atoms.cell.array.sum(axis=0) / 2)[:, :] * [1, 1, 0]
    first, second = np.nonzero((lengths > 0.1) & (lengths < 1.6))
    bonds = vectors[first, second]
    tilt = np.einsum('ij,ij->i', bonds, np.cross(axis, outward[first])) * (bonds @ axis)
    return np.sort(np.round(tilt, 4))


def test_chirality():
    left, right, straight = (fingerprint(build(n=n, m=m)) for n, m in ((6, 3), (3, 6), (5, 5)))
    assert np.allclose(left, np.sort(-right), atol=1e-3)
    assert not np.allclose(left, right, atol=1e-2)
    assert np.allclose(straight, np.sort(-straight), atol=1e-3)


def test_vacuum_and_periodicity():
    open_ended = build(n=5, m=5, length=3, vacuum=7.0, periodic=False)
    assert not open_ended.pbc.any()
    assert open_ended.positions.min(axis=0) == pytest.approx([7.0] * 3)
    assert open_ended.cell.lengths() - open_ended.positions.max(axis=0) == pytest.approx([7.0] * 3)
    assert build(n=5, m=5).pbc.all()
    assert build(n=5, m=5, length=3).cell[2, 2] == pytest.approx(3 * np.sqrt(3) * BOND)


@pytest.mark.parametrize(('n', 'm'), [(0, 0), (1, 1), (2, 0), (-3, 5)])
def test_too_narrow(n, m):
    with pytest.raises(ValidationError, match=r'give no tube|greater than or equal'):
        NanotubeConfig(n=n, m=m)


def test_too_large():
    with pytest.raises(ValueError, match='"n", "m" and "length" asks for'):
        build(n=100, m=99, length=100)


@pytest.mark.parametrize(('filling', 'size'), [('H2O', 3), ('Ar', 1), ('CO2', 3)])
def test_filling_is_inside_and_apart(filling, size):
    atoms = fill(filling={'name': filling}, count=4, min_distance=2.6)
    fragments = get_fragments(atoms)
    assert np.bincount(fragments + 1).tolist() == [160, *[size] * 4]
    distances = atoms.get_all_distances(mic=True)
    assert distances[fragments[:, None] != fragments].min() >= 2.6
    tube = atoms.positions[fragments == -1]
    middle = tube[:, :2].mean(axis=0)
    radius = np.linalg.norm(tube[:, :2] - middle, axis=1).min()
    assert np.linalg.norm(atoms.positions[fragments >= 0, :2] - middle, axis=1).max() < radius - 1


def test_filling_follows_the_seed():
    keys = {'filling': {'name': 'H2O'}, 'count': 2}
    assert np.array_equal(fill(3, **keys).positions, fill(3, **keys).positions)
    assert not np.array_equal(fill(3, **keys).positions, fill(4, **keys).positions)


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'filling': {'name': 'C60'}, 'count': 1, 'tube': {'n': 5, 'm': 5}}, '"count" is 1, but only 0 C60'),
        ({'filling': {'name': 'Ar'}, 'count': 200, 'tube': {'length': 2}}, '"count" is 200, but only'),
        ({'filling': {'name': 'C2H6'}, 'count': 1, 'tube': {'length': 1}}, 'wider or longer'),
        ({'filling': {'name': 'nonsense'}, 'count': 1}, "'nonsense' is neither an element nor a molecule"),
    ],
)
def test_impossible_fillings(keys, message):
    with pytest.raises(ValueError, match=message):
        fill(**keys)
