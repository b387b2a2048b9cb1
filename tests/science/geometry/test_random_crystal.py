"""Builder ``random_crystal``."""

import numpy as np
import pytest
import spglib
from pydantic import ValidationError

from aiida_traincraft.science.geometry.builders import random_crystal
from aiida_traincraft.science.geometry.builders.random_crystal import RandomCrystalConfig, build_random_crystal
from aiida_traincraft.science.optional import MissingLibraryError


def build(seed=0, **keys):
    config = RandomCrystalConfig(**{'composition': {'Ti': 2, 'O': 4}} | keys)
    return build_random_crystal(config, np.random.default_rng(seed))


def operations(atoms):
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    return spglib.get_symmetry(cell, 1e-2)['rotations']


@pytest.mark.parametrize(('spacegroup', 'order'), [(14, 4), (61, 8), (136, 16)])
def test_symmetry_and_composition(spacegroup, order):
    composition = {'Si': 4, 'O': 8}
    structures = build(composition=composition, spacegroup=spacegroup, n=3)
    assert len(structures) == 3
    for structure in structures:
        assert structure.atoms.symbols.formula.count() == composition
        assert structure.atoms.pbc.all()
        assert structure.provenance == {'spacegroup': spacegroup}
        # At least the operations asked for: atoms on special positions may have more.
        assert len(operations(structure.atoms)) >= order
        distances = structure.atoms.get_all_distances(mic=True)
        assert distances[~np.eye(12, dtype=bool)].min() > 0.8


def test_groups_are_drawn():
    groups = {structure.provenance['spacegroup'] for structure in build(spacegroup=(14, 61, 136), n=8)}
    assert 1 < len(groups) <= 3


def test_any_group_that_admits_the_composition():
    assert 1 <= build()[0].provenance['spacegroup'] <= 230


def test_same_seed_same_structures():
    first, again, other = (build(seed, spacegroup=14, n=2) for seed in (3, 3, 4))
    assert all(np.array_equal(a.atoms.positions, b.atoms.positions) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0].atoms.positions, other[0].atoms.positions)


def test_volume_factor():
    small, large = (build(spacegroup=14, volume_factor=factor)[0].atoms.get_volume() for factor in (1.1, 4.0))
    assert large > 2 * small


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'composition': {'Na': 3, 'Cl': 4}, 'spacegroup': 225}, 'no Wyckoff positions.*225'),
        ({'composition': {'Na': 300, 'Cl': 300}}, '"composition" has 600 atoms, more than 200'),
    ],
)
def test_impossible_crystals(keys, message):
    with pytest.raises(ValueError, match=message):
        build(**keys)


@pytest.mark.parametrize(
    'keys',
    [
        {'spacegroup': 231},
        {'spacegroup': 0},
        {'composition': {}},
        {'composition': {'Qq': 1}},
        {'n': 0},
        {'spacegroup': ()},
    ],
)
def test_config_limits(keys):
    with pytest.raises(ValidationError):
        RandomCrystalConfig(**{'composition': {'Ti': 2}} | keys)


def test_missing_library_names_the_extra_mock(monkeypatch):
    def missing(module, wanted_by):
        raise MissingLibraryError(f'{wanted_by} needs {module}')

    monkeypatch.setattr(random_crystal, 'require', missing)
    with pytest.raises(MissingLibraryError, match='"random_crystal" needs pyxtal'):
        build()
