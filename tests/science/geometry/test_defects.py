"""Space groups and point defects of the builder ``crystal``."""

import numpy as np
import pytest
import spglib
from pydantic import ValidationError

from aiida_traincraft.science.geometry.builders.crystal import CrystalConfig, build_crystal
from aiida_traincraft.science.geometry.defects import largest_remainder, voids

FCC = {'name': 'Cu', 'a': 3.6, 'cubic': True, 'repeat': (2, 2, 2)}


def sites(*pairs):
    return tuple({'element': element, 'position': position} for element, position in pairs)


def build(seed=0, **keys):
    return build_crystal(CrystalConfig(**keys), np.random.default_rng(seed)).atoms


def counts(atoms):
    return atoms.symbols.formula.count()


ORIGIN = (0.0, 0.0, 0.0)
GROUPS = [
    ({'spacegroup': 225, 'a': 5.64, 'basis': sites(('Na', ORIGIN), ('Cl', (0.5, 0.5, 0.5)))}, 225, 8),
    ({'spacegroup': 'Fd-3m', 'a': 5.43, 'basis': sites(('Si', ORIGIN))}, 227, 8),
    ({'spacegroup': 'P4_2/mnm', 'a': 4.59, 'c': 2.96,
      'basis': sites(('Ti', ORIGIN), ('O', (0.305, 0.305, 0.0)))}, 136, 6),
    ({'spacegroup': 167, 'a': 4.76, 'c': 12.99,
      'basis': sites(('Al', (0.0, 0.0, 0.352)), ('O', (0.306, 0.0, 0.25)))}, 167, 30),
    ({'spacegroup': 166, 'setting': 2, 'a': 4.75, 'alpha': 57.2,
      'basis': sites(('Bi', (0.234, 0.234, 0.234)))}, 166, 2),
    ({'spacegroup': 14, 'a': 5.1, 'b': 5.2, 'c': 5.3, 'beta': 99.2,
      'basis': sites(('Zr', (0.275, 0.04, 0.21)), ('O', (0.07, 0.33, 0.35)), ('O', (0.45, 0.76, 0.48)))}, 14, 12),
]  # fmt: skip


@pytest.mark.parametrize(('keys', 'number', 'count'), GROUPS)
def test_space_groups(keys, number, count):
    atoms = build(**keys)
    assert len(atoms) == count
    found = spglib.get_symmetry_dataset((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), 1e-3)
    assert found.number == number
    assert set(atoms.arrays) == {'numbers', 'positions'}
    assert not atoms.info


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'spacegroup': 999}, '"spacegroup" 999 with "setting" 1 is not known'),
        ({'spacegroup': 'Q-3m'}, '"spacegroup" \'Q-3m\' with'),
        ({'spacegroup': 225, 'setting': 2}, '"setting" 2 is not known'),
        ({'spacegroup': 225, 'c': 4.0}, '"spacegroup" 225.*needs a = b = c.*c 4'),
        (
            {'spacegroup': 166, 'setting': 1, 'c': 9.0, 'gamma': 90.0},
            '"setting" 1.* needs a = b, alpha = beta = 90, gamma',
        ),
        ({'spacegroup': 166, 'setting': 2}, '"alpha" is needed for "spacegroup" 166'),
        ({'spacegroup': 136}, '"c" is needed'),
        ({'spacegroup': 1, 'b': 3.0, 'c': 3.0, 'alpha': 170.0, 'beta': 170.0, 'gamma': 170.0}, 'make no cell'),
        ({'spacegroup': 225, 'basis': sites(('Cu', ORIGIN), ('Au', (0.0, 0.5, 0.5)))}, 'two sites of "basis"'),
        ({'spacegroup': 225, 'repeat': (100, 100, 100)}, '"repeat" asks for 4e\\+06 atoms'),
    ],
)
def test_impossible_space_groups(keys, message):
    with pytest.raises(ValueError, match=message):
        build(**{'a': 3.0, 'basis': sites(('Cu', ORIGIN))} | keys)


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({}, 'exactly one of "name"'),
        ({'name': 'Cu', 'spacegroup': 225, 'a': 3.6}, 'exactly one of "name"'),
        ({'spacegroup': 225, 'a': 3.6}, '"spacegroup" needs "basis"'),
        ({'spacegroup': 225, 'basis': sites(('Cu', ORIGIN))}, '"spacegroup" needs "a"'),
        ({'name': 'Cu', 'gamma': 80.0}, '"gamma" goes with "spacegroup"'),
        ({'spacegroup': 225, 'a': 3.6, 'basis': sites(('Cu', ORIGIN)), 'cubic': True}, '"cubic" goes with "name"'),
        ({'name': 'Cu', 'vacancies': {'count': 1, 'sites': (0,)}}, 'exactly one of "count" and "sites"'),
        ({'name': 'Cu', 'interstitials': ({'element': 'H'},)}, 'exactly one of "count" and "position"'),
        ({'name': 'Cu', 'interstitials': ({'element': 'Qq', 'count': 1},)}, "'Qq' is no chemical element"),
        ({'name': 'Cu', 'composition': {'Cu': 0.5}}, 'add up to 0.5'),
    ],
)
def test_config_combinations(keys, message):
    with pytest.raises(ValidationError, match=message):
        CrystalConfig(**keys)


@pytest.mark.parametrize(
    ('fractions', 'total', 'expected'),
    [
        ([0.5, 0.5], 32, [16, 16]),
        ([1 / 3, 1 / 3, 1 / 3], 32, [11, 11, 10]),
        ([0.9, 0.1], 32, [29, 3]),
        ([0.1] * 10, 30, [3] * 10),
        ([0.7, 0.2, 0.1], 1, [1, 0, 0]),
    ],
)
def test_largest_remainder(fractions, total, expected):
    assert largest_remainder(fractions, total) == expected


def test_composition_and_substitutions_are_exact():
    assert counts(build(**FCC, composition={'Cu': 0.75, 'Au': 0.25})) == {'Au': 8, 'Cu': 24}
    atoms = build(**FCC, substitutions=({'old': 'Cu', 'new': 'Au', 'count': 5}, {'new': 'Ag', 'sites': (0, 7)}))
    assert counts(atoms) == {'Ag': 2, 'Au': 5, 'Cu': 25}
    assert np.flatnonzero(atoms.symbols == 'Ag').tolist() == [0, 7]
    assert np.allclose(atoms.positions, build(**FCC).positions)


def test_defects_together_follow_the_seed():
    keys = FCC | {
        'composition': {'Cu': 0.5, 'Au': 0.5},
        'substitutions': ({'old': 'Au', 'new': 'Ag', 'count': 3},),
        'vacancies': {'element': 'Cu', 'count': 2},
        'interstitials': ({'element': 'H', 'count': 4},),
    }
    first, again, other = build(5, **keys), build(5, **keys), build(6, **keys)
    assert counts(first) == {'Ag': 3, 'Au': 13, 'Cu': 14, 'H': 4}
    assert np.array_equal(first.positions, again.positions)
    assert (first.numbers == again.numbers).all()
    assert not np.array_equal(first.positions, other.positions)


def test_vacancies_by_sites():
    perfect, atoms = build(**FCC), build(**FCC, vacancies={'sites': (0, 31)})
    assert np.allclose(atoms.positions, perfect.positions[1:31])


def test_interstitials_take_the_octahedral_then_the_tetrahedral_voids():
    _, radii = voids(build(**FCC))
    assert np.unique(np.round(radii, 4)) == pytest.approx([3.6 * np.sqrt(3) / 4, 1.8], abs=1e-4)
    assert (radii > 1.7).sum() >= 32
    atoms = build(**FCC, interstitials=({'element': 'H', 'count': 32, 'min_distance': 1.7},))
    for index in range(32, 64):
        distances = np.sort(atoms.get_distances(index, range(32), mic=True))
        assert distances[:6] == pytest.approx([1.8] * 6, abs=1e-6)
    atoms = build(**FCC, interstitials=({'element': 'H', 'position': (0.125, 0.125, 0.125)},))
    distances = np.sort(atoms.get_distances(32, range(32), mic=True))
    assert distances[:4] == pytest.approx([3.6 * np.sqrt(3) / 4] * 4)


@pytest.mark.parametrize('keys', [{'name': 'Mg'}, {'name': 'Si'}, {'name': 'Fe'}, {'name': 'Cu', 'repeat': (1, 1, 3)}])
def test_voids_of_primitive_cells_are_as_far_as_it_gets(keys):
    atoms = build(**keys)
    _, radii = voids(atoms)
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 9)[:-1]] * 3), axis=-1).reshape(-1, 3) @ atoms.cell.array
    images = atoms.repeat((5, 5, 5)).positions - atoms.cell.array.sum(axis=0) * 2
    farthest = np.linalg.norm(grid[:, None] - images, axis=-1).min(axis=1).max()
    assert radii.max() >= farthest - 1e-6


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'vacancies': {'sites': (40,)}}, '"sites" has 40, but the crystal has 32'),
        ({'vacancies': {'sites': (1, 1)}}, '"sites" has atom 1 twice'),
        ({'vacancies': {'element': 'Au', 'count': 1}}, '"vacancies" asks for 1 Au atoms, but there are 0'),
        ({'vacancies': {'sites': (1,)}, 'substitutions': ({'new': 'Au', 'sites': (1,)},)}, 'atom 1 twice'),
        ({'substitutions': ({'old': 'Cu', 'new': 'Au', 'count': 33},)}, '"substitutions" asks for 33 Cu atoms'),
        ({'substitutions': ({'old': 'Ag', 'new': 'Au', 'sites': (3,)},)}, 'atom 3 of "sites" is Cu, not Ag'),
        ({'interstitials': ({'element': 'H', 'count': 33, 'min_distance': 1.7},)}, 'there is room for 32'),
        ({'interstitials': ({'element': 'H', 'position': (0.0, 0.0, 0.1)},)}, '0.72 Å from an atom'),
    ],
)
def test_impossible_defects(keys, message):
    with pytest.raises(ValueError, match=message):
        build(**FCC, **keys)
