"""Builder ``layered``."""

import numpy as np
import pytest
import spglib
from pydantic import ValidationError

from aiida_traincraft.science.geometry.builders.layered import LayeredConfig, build_layered

MOS2 = {'name': 'MoS2', 'a': 3.16, 'thickness': 3.17, 'interlayer': 6.15}


def build(**keys):
    return build_layered(LayeredConfig(**keys), np.random.default_rng(0)).atoms


def group(atoms):
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    return spglib.get_spacegroup(cell, 1e-3).split()[0]


def above(atoms, height):
    """In-plane distances (Å) of each atom at z = 0 to the nearest one at a height."""
    low, high = (atoms[np.abs(atoms.positions[:, 2] - z) < 0.1] for z in (0.0, height))
    both = low + high
    both.positions[:, 2] = 0.0
    return both.get_all_distances(mic=True)[: len(low), len(low) :].min(axis=1)


@pytest.mark.parametrize(
    ('keys', 'symbol'),
    [
        ({'name': 'graphene', 'stacking': 'AA', 'layers': 1}, 'P6/mmm'),
        ({'name': 'graphene', 'stacking': 'AB', 'layers': 2}, 'P6_3/mmc'),
        ({'name': 'graphene', 'stacking': 'ABC', 'layers': 3}, 'R-3m'),
        ({'name': 'hBN', 'stacking': 'AA', 'layers': 1}, 'P-6m2'),
        ({'name': 'hBN', 'stacking': "AA'", 'layers': 2}, 'P6_3/mmc'),
        (MOS2 | {'stacking': "AA'", 'layers': 2}, 'P6_3/mmc'),
        (MOS2 | {'stacking': 'ABC', 'layers': 3}, 'R3m'),
        (MOS2 | {'phase': '1T'}, 'P-3m1'),
    ],
)
def test_crystals_have_the_symmetry_of_their_stacking(keys, symbol):
    atoms = build(**keys, periodic=True)
    assert group(atoms) == symbol
    assert atoms.pbc.all()


@pytest.mark.parametrize(('name', 'bond'), [('graphene', 2.461 / np.sqrt(3)), ('hBN', 2.504 / np.sqrt(3))])
def test_every_atom_has_three_neighbours(name, bond):
    atoms = build(name=name, repeat=(3, 3))
    distances = atoms.get_all_distances(mic=True)
    assert (np.sum(np.abs(distances - bond) < 1e-6, axis=1) == 3).all()


def test_stacking_of_graphene():
    bond = 2.461 / np.sqrt(3)
    for stacking, expected in (('AA', [0, 0]), ('AB', [0, bond]), ('ABC', [0, bond])):
        atoms = build(name='graphene', layers=6, stacking=stacking, periodic=True)
        assert np.sort(above(atoms, 3.354)) == pytest.approx(expected, abs=1e-6)
        third = above(atoms, 2 * 3.354)
        assert np.sort(third) == pytest.approx([0, bond] if stacking == 'ABC' else [0, 0], abs=1e-6)


def test_in_boron_nitride_unlike_atoms_are_above_each_other():
    atoms = build(name='hBN', layers=2, stacking="AA'", periodic=True)
    assert above(atoms, 3.33) == pytest.approx([0, 0], abs=1e-6)
    pairs = [(atom.symbol, other.symbol) for atom in atoms[:2] for other in atoms[2:]
             if np.linalg.norm((atom.position - other.position)[:2]) < 0.1]  # fmt: skip
    assert sorted(pairs) == [('B', 'N'), ('N', 'B')]


def test_dichalcogenide_distances_and_vacuum():
    atoms = build(**MOS2, layers=2, vacuum=7.0, repeat=(2, 3))
    heights = np.unique(np.round(atoms.positions[:, 2], 6))
    assert heights == pytest.approx(7.0 + np.array([0, 1.585, 3.17, 6.15, 7.735, 9.32]))
    assert atoms.cell[2, 2] == pytest.approx(heights.max() + 7.0)
    assert atoms.pbc.tolist() == [True, True, False]
    assert atoms.get_chemical_formula() == 'Mo12S24'
    assert np.sort(atoms.get_all_distances(mic=True)[0])[1] == pytest.approx(np.hypot(3.16 / np.sqrt(3), 1.585))


@pytest.mark.parametrize(('twist', 'cells'), [(21.787, 7), (13.174, 19), (38.213, 21), (9.430, 37)])
def test_twisted_layers_are_the_same_crystal_turned(twist, cells):
    atoms = build(name='graphene', layers=2, twist=twist)
    assert len(atoms) == 4 * cells
    bond, directions = 2.461 / np.sqrt(3), []
    for sheet in (atoms[: len(atoms) // 2], atoms[len(atoms) // 2 :]):
        sheet = sheet.repeat((2, 2, 1))
        distances = sheet.get_all_distances(mic=True)
        assert (np.sum(np.abs(distances - bond) < 1e-3, axis=1) == 3).all()
        neighbour = int(np.flatnonzero(np.abs(distances[0] - bond) < 1e-3)[0])
        vector = sheet.get_distance(0, neighbour, mic=True, vector=True)
        directions.append(np.degrees(np.arctan2(vector[1], vector[0])))
    turned = (directions[1] - directions[0]) % 60
    assert min(turned, 60 - turned) == pytest.approx(min(twist, 60 - twist), abs=1e-3)


def test_impossible_twist_offers_the_nearest():
    with pytest.raises(ValueError, match=r'"twist" 20.0 has no common period.*21.787 \(28 atoms\).*19.932 \(1636'):
        build(name='graphene', layers=2, twist=20.0)


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'name': 'MoS2', 'thickness': 3.17}, '"a" is needed for .MoS2.'),
        ({'name': 'MoS2', 'a': 3.16, 'thickness': 3.17, 'layers': 2}, '"interlayer" is needed'),
        ({'name': 'graphene', 'phase': '1T'}, 'no meaning for graphene'),
        ({'name': 'graphene', 'twist': 21.787}, '"twist" needs "layers" = 2'),
        ({'name': 'graphene', 'stacking': 'ABC', 'layers': 2, 'periodic': True}, 'must be a multiple of 3'),
        ({'name': 'graphene', 'vacuum': 0.0}, 'greater than 0'),
    ],
)
def test_config_combinations(keys, message):
    with pytest.raises(ValidationError, match=message):
        LayeredConfig(**keys)


@pytest.mark.parametrize('name', ['Xx', 'NaCl', ''])
def test_unknown_layers(name):
    with pytest.raises(ValueError, match='neither graphene, hBN, nor the formula'):
        build(name=name, a=3.0, thickness=3.0)


def test_too_large():
    with pytest.raises(ValueError, match='"repeat" and "layers" asks for'):
        build(name='graphene', repeat=(1000, 1000))
