"""Builder ``alloy``."""

import numpy as np
import pytest
from pydantic import ValidationError

from aiida_traincraft.science.geometry.builders import alloy
from aiida_traincraft.science.geometry.builders.alloy import AlloyConfig, build_alloy
from aiida_traincraft.science.optional import MissingLibraryError

LATTICE = {'name': 'Cu', 'a': 3.7, 'cubic': True, 'repeat': (2, 2, 2)}


def build(seed=0, **keys):
    return build_alloy(AlloyConfig(**LATTICE | keys), np.random.default_rng(seed)).atoms


def like_pairs(atoms, distance):
    """Share of the neighbours at this distance (Å) that are of the same element."""
    distances = atoms.get_all_distances(mic=True)
    first, second = np.nonzero(np.abs(distances - distance) < 0.1)
    return np.mean(atoms.numbers[first] == atoms.numbers[second])


@pytest.mark.parametrize('method', ['random', 'sqs'])
@pytest.mark.parametrize(
    ('composition', 'counts'),
    [
        ({'Cu': 0.5, 'Au': 0.5}, {'Cu': 16, 'Au': 16}),
        ({'Cu': 0.9, 'Pd': 0.1}, {'Cu': 29, 'Pd': 3}),
        ({'Cu': 0.33, 'Au': 0.33, 'Ag': 0.34}, {'Cu': 10, 'Au': 11, 'Ag': 11}),
    ],
)
def test_exact_counts_on_the_sites_of_the_lattice(method, composition, counts):
    atoms = build(composition=composition, method=method, iterations=100)
    found = dict(zip(*np.unique(atoms.get_chemical_symbols(), return_counts=True), strict=True))
    assert sum(found.values()) == 32
    assert all(abs(found[element] - 32 * fraction) < 1 for element, fraction in composition.items())
    if len(counts) == 2:
        assert found == counts
    assert np.allclose(atoms.positions, build(composition={'Cu': 1.0}).positions)


@pytest.mark.parametrize('method', ['random', 'sqs'])
def test_occupation_follows_the_seed(method):
    keys = {'composition': {'Cu': 0.5, 'Au': 0.5}, 'method': method, 'iterations': 50}
    assert (build(3, **keys).numbers == build(3, **keys).numbers).all()
    assert (build(3, **keys).numbers != build(4, **keys).numbers).any()


def order(atoms):
    """Warren-Cowley parameters of five shells of 50:50 on fcc, weighted by 1/shell."""
    shells = 3.7 * np.sqrt([1 / 2, 1, 3 / 2, 2, 3])
    return sum(abs(2 * like_pairs(atoms, radius) - 1) / shell for shell, radius in enumerate(shells, start=1))


def test_sqs_has_less_order_than_random_occupations():
    keys = {'composition': {'Cu': 0.5, 'Au': 0.5}}
    drawn = np.mean([order(build(seed, **keys)) for seed in range(20)])
    special = [order(build(seed, **keys, method='sqs')) for seed in range(3)]
    assert max(special) < 0.5 * drawn


@pytest.mark.parametrize('method', ['random', 'sqs'])
def test_sublattice(method):
    keys = {'name': 'NaCl', 'crystalstructure': 'rocksalt', 'a': 5.64, 'repeat': (2, 2, 1)}
    atoms = build(**keys, sublattice='Na', composition={'Na': 0.5, 'K': 0.5}, method=method, iterations=100)
    assert atoms.symbols.formula.count() == {'Cl': 16, 'Na': 8, 'K': 8}
    assert like_pairs(atoms, 2.82) == 0.0


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'sublattice': 'Au'}, '"sublattice" is Au, of which'),
        ({'method': 'sqs', 'repeat': (6, 6, 6)}, '"method" "sqs" is for at most 500'),
        ({'method': 'sqs', 'repeat': (1, 1, 1)}, 'no SQS of 4 sites.*raise "repeat"'),
        ({'method': 'sqs', 'composition': {'Cu': 0.99, 'Au': 0.01}}, '32 sites hold only Cu'),
        ({'repeat': (100, 100, 100)}, '"repeat" asks for 4e\\+06 atoms'),
    ],
)
def test_impossible_alloys(keys, message):
    with pytest.raises(ValueError, match=message):
        build(**{'composition': {'Cu': 0.5, 'Au': 0.5}} | keys)


@pytest.mark.parametrize(
    ('composition', 'message'),
    [
        ({'Cu': 0.5}, 'add up to 0.5'),
        ({}, 'add up to 0'),
        ({'Cu': 0.5, 'Qq': 0.5}, "'Qq' is no chemical element"),
        ({'Cu': 1.5, 'Au': -0.5}, 'less than or equal to 1'),
    ],
)
def test_wrong_compositions(composition, message):
    with pytest.raises(ValidationError, match=message):
        AlloyConfig(**LATTICE, composition=composition)


def test_missing_library_names_the_extra_mock(monkeypatch):
    def missing(module, wanted_by):
        raise MissingLibraryError(f'{wanted_by} needs {module}')

    monkeypatch.setattr(alloy, 'require', missing)
    with pytest.raises(MissingLibraryError, match='method = "sqs" needs sqsgenerator'):
        build(composition={'Cu': 0.5, 'Au': 0.5}, method='sqs')
