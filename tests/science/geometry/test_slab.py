"""Builder ``slab``."""

import numpy as np
import pytest
from pydantic import ValidationError

from aiida_traincraft.science.geometry.builders.slab import SlabConfig, build_slab

A = 4.0


def build(**keys):
    return build_slab(SlabConfig(**keys), np.random.default_rng(0)).atoms


def spacings(atoms):
    """Distances between layers (Å), bottom to top."""
    return np.diff(np.unique(np.round(atoms.positions[:, 2], 6)))


def nearest(atoms):
    distances = atoms.get_all_distances(mic=True)
    return distances[~np.eye(len(atoms), dtype=bool)].min()


@pytest.mark.parametrize(
    ('name', 'facet', 'spacing', 'area', 'neighbour'),
    [
        ('Cu', 'fcc111', A / np.sqrt(3), A**2 * np.sqrt(3) / 4, A / np.sqrt(2)),
        ('Cu', 'fcc100', A / 2, A**2 / 2, A / np.sqrt(2)),
        ('Cu', 'fcc110', A / np.sqrt(8), A**2 / np.sqrt(2), A / np.sqrt(2)),
        ('Fe', 'bcc100', A / 2, A**2, A * np.sqrt(3) / 2),
        ('Fe', 'bcc110', A / np.sqrt(2), A**2 / np.sqrt(2), A * np.sqrt(3) / 2),
        ('Fe', 'bcc111', A / np.sqrt(12), A**2 * np.sqrt(3), A * np.sqrt(3) / 2),
        ('Mg', 'hcp0001', A * np.sqrt(2 / 3), A**2 * np.sqrt(3) / 2, A),
    ],
)
def test_named_facets(name, facet, spacing, area, neighbour):
    keys = {'c': A * np.sqrt(8 / 3)} if facet == 'hcp0001' else {}
    atoms = build(name=name, facet=facet, size=(2, 3, 6), a=A, vacuum=7.0, **keys)
    assert len(atoms) == 36
    assert spacings(atoms) == pytest.approx([spacing] * 5, abs=1e-5)
    assert np.linalg.norm(np.cross(atoms.cell[0], atoms.cell[1])) == pytest.approx(6 * area)
    assert nearest(atoms) == pytest.approx(neighbour, abs=1e-6)


@pytest.mark.parametrize('facet', ['diamond111', 'diamond100'])
def test_diamond_facets_keep_bond_lengths(facet):
    atoms = build(name='Si', facet=facet, size=(2, 2, 8), a=5.43)
    assert len(atoms) == 32
    assert nearest(atoms) == pytest.approx(5.43 * np.sqrt(3) / 4)


@pytest.mark.parametrize('cut', [{'facet': 'fcc111', 'size': (1, 1, 4)}, {'miller': (1, 1, 1), 'size': (1, 1, 2)}])
def test_vacuum_on_both_sides(cut):
    atoms = build(name='Cu', a=A, vacuum=6.5, **cut)
    heights = atoms.positions[:, 2]
    assert heights.min() == pytest.approx(6.5)
    assert atoms.cell[2, 2] - heights.max() == pytest.approx(6.5)
    assert atoms.cell[2, :2] == pytest.approx([0, 0])


def test_periodicity():
    assert build(name='Cu', facet='fcc111').pbc.all()
    assert build(name='Cu', facet='fcc111', periodic=False).pbc.tolist() == [True, True, False]
    assert build(name='Cu', miller=(2, 1, 0), size=(1, 1, 2)).pbc.all()


@pytest.mark.parametrize('miller', [(1, 1, 1), (1, 0, 0), (2, 1, 0), (2, 1, 1)])
def test_miller_cut_is_the_same_crystal(miller):
    atoms = build(name='Cu', a=A, miller=miller, size=(1, 1, 3), vacuum=5.0)
    assert nearest(atoms.repeat((2, 2, 1))) == pytest.approx(A / np.sqrt(2), abs=1e-6)
    planes = spacings(atoms)
    unit = A / np.linalg.norm(miller)
    assert np.allclose(planes / unit * 2, np.round(planes / unit * 2), atol=1e-4)


def test_miller_cut_of_a_compound():
    atoms = build(name='NaCl', crystalstructure='rocksalt', a=5.64, miller=(1, 0, 0), size=(2, 1, 2))
    assert atoms.get_chemical_formula() == 'Cl16Na16'
    assert spacings(atoms) == pytest.approx([2.82] * 3)


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'name': 'Cu', 'facet': 'bcc100'}, 'no bcc100 slab.*give "a"'),
        ({'name': 'NaCl', 'facet': 'fcc111'}, 'not an element: a compound needs "miller"'),
        ({'name': 'X', 'facet': 'fcc111'}, "no fcc111 slab of 'X' can be built: not an element"),
        ({'name': 'NaCl', 'miller': (1, 0, 0)}, 'no crystal can be built'),
    ],
)
def test_impossible_slabs(keys, message):
    with pytest.raises(ValueError, match=message):
        build(**keys)


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({}, 'exactly one of "facet" and "miller"'),
        ({'facet': 'fcc111', 'miller': (1, 1, 1)}, 'exactly one of "facet" and "miller"'),
        ({'miller': (0, 0, 0)}, 'no plane'),
        ({'facet': 'fcc111', 'c': 5.0}, 'no meaning for the cubic facet'),
        ({'facet': 'fcc111', 'crystalstructure': 'fcc'}, '"facet" names its own'),
        ({'facet': 'fcc111', 'vacuum': 0.0}, 'greater than 0'),
        ({'facet': 'fcc112'}, 'fcc111'),
    ],
)
def test_config_combinations(keys, message):
    with pytest.raises(ValidationError, match=message):
        SlabConfig(name='Cu', **keys)
