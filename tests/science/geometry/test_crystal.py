"""Builder ``crystal``."""

import numpy as np
import pytest
from pydantic import ValidationError

from aiida_traincraft.science.geometry.builders.crystal import CrystalConfig, build_crystal


def build(seed=0, **keys):
    return build_crystal(CrystalConfig(**keys), np.random.default_rng(seed)).atoms


def shell(atoms):
    """Nearest distance of the first atom and how many atoms are there."""
    wide = atoms.repeat((3, 3, 3))
    distances = np.sort(np.round(wide.get_distances(0, range(1, len(wide)), mic=True), 6))
    return distances[0], int(np.sum(distances < distances[0] + 1e-3))


@pytest.mark.parametrize(
    ('keys', 'count', 'distance', 'neighbours'),
    [
        ({'name': 'Cu', 'a': 3.6}, 1, 3.6 / np.sqrt(2), 12),
        ({'name': 'Cu', 'a': 3.6, 'cubic': True}, 4, 3.6 / np.sqrt(2), 12),
        ({'name': 'Cu', 'crystalstructure': 'bcc', 'a': 2.9, 'cubic': True}, 2, 2.9 * np.sqrt(3) / 2, 8),
        ({'name': 'Si', 'a': 5.43, 'cubic': True}, 8, 5.43 * np.sqrt(3) / 4, 4),
        ({'name': 'NaCl', 'crystalstructure': 'rocksalt', 'a': 5.64, 'cubic': True}, 8, 2.82, 6),
        ({'name': 'Cu', 'crystalstructure': 'sc', 'a': 2.4, 'repeat': (2, 3, 4)}, 24, 2.4, 6),
        ({'name': 'Mg', 'a': 3.2, 'covera': np.sqrt(8 / 3)}, 2, 3.2, 12),
    ],
)
def test_prototypes(keys, count, distance, neighbours):
    atoms = build(**keys)
    assert len(atoms) == count
    assert atoms.pbc.all()
    found, number = shell(atoms)
    assert found == pytest.approx(distance, abs=1e-5)
    assert number == neighbours


def test_repeat_scales_the_cell():
    assert build(name='Cu', a=3.6, cubic=True, repeat=(1, 2, 3)).cell.lengths() == pytest.approx([3.6, 7.2, 10.8])


@pytest.mark.parametrize('vacancies', [0, 1, 5, 31])
def test_exact_number_of_vacancies(vacancies):
    keys = {'name': 'Cu', 'a': 3.6, 'cubic': True, 'repeat': (2, 2, 2)}
    atoms = build(vacancies=vacancies, **keys)
    assert len(atoms) == 32 - vacancies
    sites = build(**keys).positions
    assert all(np.min(np.linalg.norm(sites - position, axis=1)) < 1e-9 for position in atoms.positions)
    assert atoms.cell.lengths() == pytest.approx([7.2] * 3)


def test_vacancies_follow_the_seed():
    keys = {'name': 'Cu', 'a': 3.6, 'cubic': True, 'repeat': (3, 3, 3), 'vacancies': 3}
    assert np.array_equal(build(5, **keys).positions, build(5, **keys).positions)
    assert not np.array_equal(build(5, **keys).positions, build(6, **keys).positions)


@pytest.mark.parametrize('vacancies', [4, 5])
def test_too_many_vacancies(vacancies):
    with pytest.raises(ValueError, match=f'"vacancies" is {vacancies}, but the crystal has 4 atoms'):
        build(name='Cu', a=3.6, cubic=True, vacancies=vacancies)


@pytest.mark.parametrize(
    'keys',
    [
        {'name': 'Cu', 'crystalstructure': 'bcc'},
        {'name': 'Qq', 'a': 3.0},
        {'name': 'NaCl', 'crystalstructure': 'fcc', 'a': 3.0},
        {'name': 'Mg', 'cubic': True},
        {'name': 'Cu', 'crystalstructure': 'orthorhombic', 'a': 3.0},
        {'name': 'Mg', 'c': 5.0, 'covera': 1.6},
    ],
)
def test_impossible_crystals_say_what_was_given(keys):
    with pytest.raises(ValueError, match=f"no crystal can be built from name = '{keys['name']}'.*: "):
        build(**keys)


@pytest.mark.parametrize('keys', [{'a': -1}, {'repeat': [0, 1, 1]}, {'vacancies': -1}, {'crystalstructure': 'fc'}])
def test_config_limits(keys):
    with pytest.raises(ValidationError):
        CrystalConfig(**({'name': 'Cu'} | keys))
