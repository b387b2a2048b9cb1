"""Transforms ``substitute``, ``vacancy`` and ``interstitial``: exact numbers at given or drawn sites."""

import numpy as np
import pytest
from ase.build import bulk, molecule

from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.science.geometry.transforms.interstitial import InterstitialConfig, interstitial
from aiida_traincraft.science.geometry.transforms.substitute import SubstituteConfig, substitute
from aiida_traincraft.science.geometry.transforms.vacancy import VacancyConfig, vacancy
from aiida_traincraft.science.structure import Structure


@pytest.fixture
def salt():
    atoms = bulk('NaCl', 'rocksalt', a=5.6, cubic=True).repeat((2, 2, 2))
    atoms.set_array('tc_fragment', np.arange(64))
    atoms.set_initial_magnetic_moments(np.arange(64) / 10)
    return Structure(atoms)


def apply(function, structure, config, seed=0):
    return function(structure, config, np.random.default_rng(seed)).atoms


@pytest.mark.parametrize(('keys', 'count'), [({'count': 5}, 5), ({'fraction': 0.25}, 8), ({'count': 0}, 0)])
def test_substitutes_exactly(salt, keys, count):
    atoms = apply(substitute, salt, SubstituteConfig(old='Na', new='K', **keys))
    assert atoms.symbols.formula.count() == {'Na': 32 - count, 'Cl': 32} | ({'K': count} if count else {})
    assert np.array_equal(atoms.positions, salt.atoms.positions)
    assert atoms.arrays['tc_fragment'].tolist() == list(range(64))
    assert (atoms.get_initial_magnetic_moments()[atoms.symbols == 'K'] == 0).all()


def test_substitutes_at_sites_and_masses_follow(salt):
    salt.atoms.set_masses()
    atoms = apply(substitute, salt, SubstituteConfig(new='K', sites=(3, 0)))
    assert np.flatnonzero(atoms.symbols == 'K').tolist() == [0, 3]
    assert atoms.get_masses()[[0, 3]] == pytest.approx([39.0983] * 2)
    assert atoms.get_masses()[2] == salt.atoms.get_masses()[2]


@pytest.mark.parametrize(
    ('keys', 'count'), [({'count': 5}, 5), ({'fraction': 0.5, 'element': 'Cl'}, 16), ({'sites': (63, 1)}, 2)]
)
def test_takes_out_exactly_and_arrays_stay_with_their_atoms(salt, keys, count):
    config = VacancyConfig(**keys)
    atoms = apply(vacancy, salt, config)
    assert len(atoms) == 64 - count
    if config.element:
        assert (atoms.symbols == 'Na').sum() == 32
    kept = atoms.arrays['tc_fragment']
    assert np.array_equal(atoms.positions, salt.atoms.positions[kept])
    assert np.array_equal(atoms.get_initial_magnetic_moments(), kept / 10)
    if config.sites:
        assert set(range(64)) - set(kept.tolist()) == {1, 63}


def test_adds_exactly_in_the_largest_voids(salt):
    atoms = apply(interstitial, salt, InterstitialConfig(element='Li', count=3))
    assert np.array_equal(atoms.positions[:64], salt.atoms.positions)
    assert atoms.symbols[64:].formula.count() == {'Li': 3}
    # Tetrahedral holes, a quarter of the body diagonal of a small cube from four Na and four Cl.
    nearest = [np.sort(atoms.get_distances(place, range(64), mic=True))[:8] for place in range(64, 67)]
    assert np.array(nearest) == pytest.approx(np.full((3, 8), 5.6 * np.sqrt(3) / 4))
    assert atoms.arrays['tc_fragment'].tolist() == [*range(64), -1, -1, -1]
    assert (atoms.get_initial_magnetic_moments()[64:] == 0).all()


def test_adds_at_a_place(salt):
    atoms = apply(interstitial, salt, InterstitialConfig(element='Li', position=(0.125, 0.125, 0.375)))
    assert atoms.positions[64] == pytest.approx([1.4, 1.4, 4.2])


@pytest.mark.parametrize(
    ('function', 'config'),
    [(substitute, SubstituteConfig(old='Na', new='K', count=5)), (vacancy, VacancyConfig(count=5))],
)
def test_the_seed_decides(salt, function, config):
    hashes = [function(salt, config, np.random.default_rng(seed)).content_hash() for seed in (1, 1, 2)]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ('function', 'config', 'message'),
    [
        (substitute, SubstituteConfig(old='Na', new='K', count=33), '"count" is 33, but there are 32 Na atoms'),
        (substitute, SubstituteConfig(old='Cu', new='K', count=1), '"old" is Cu, of which there is no atom'),
        (substitute, SubstituteConfig(new='K', count=1), '"old" is needed'),
        (substitute, SubstituteConfig(old='K', new='K', count=1), '"old" and "new" are both K'),
        (substitute, SubstituteConfig(old='Na', new='K', sites=(1,)), '"sites" has 1, which is Cl, not "old" Na'),
        (vacancy, VacancyConfig(sites=(64,)), '"sites" has 64, but there are 64 atoms'),
        (vacancy, VacancyConfig(fraction=1.0), 'all 64 atoms would be taken out'),
        (vacancy, VacancyConfig(count=65), '"count" is 65, but there are 64 atoms'),
        (interstitial, InterstitialConfig(element='Li', position=(0, 0, 0.01)), 'nearer than "min_distance" 1.0'),
        (interstitial, InterstitialConfig(element='Li', count=1, min_distance=3.0), 'there is room for 0'),
    ],
)
def test_what_cannot_be_done(salt, function, config, message):
    with pytest.raises(ValueError, match=message):
        apply(function, salt, config)


def test_interstitials_of_no_crystal():
    with pytest.raises(ValueError, match='"interstitial" fills voids of a crystal, but H2O is not periodic in three'):
        apply(interstitial, Structure(molecule('H2O')), InterstitialConfig(element='Li', count=1))


@pytest.mark.parametrize(
    'keys', [{}, {'count': 1, 'fraction': 0.5}, {'sites': (1, 1)}, {'sites': ()}, {'fraction': 1.5}, {'count': -1}]
)
def test_config(keys):
    with pytest.raises(ValueError, match=r'exactly one|twice|at least 1|less than|greater than'):
        VacancyConfig(**keys)


@pytest.mark.parametrize(('key', 'symbol'), [('new', 'Qq'), ('old', 'X'), ('new', '')])
def test_elements_that_are_none(key, symbol):
    with pytest.raises(ConfigError, match=f'{key}: {symbol!r} is no chemical element'):
        parse_plugin('transform', {'type': 'substitute', 'old': 'Na', 'new': 'K', 'count': 1, key: symbol})
