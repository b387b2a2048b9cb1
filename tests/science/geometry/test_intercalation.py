"""Builder ``intercalation``."""

import numpy as np
import pytest
from pydantic import ValidationError

from aiida_traincraft.science.atoms.fragments import get_fragments
from aiida_traincraft.science.geometry.builders.intercalation import IntercalationConfig, build_intercalation

HOST = {'name': 'graphene', 'layers': 2, 'repeat': (3, 3), 'periodic': True}


def build(seed=0, host=None, **keys):
    config = IntercalationConfig(**{'host': HOST | (host or {}), 'guest': {'name': 'Li'}} | keys)
    return build_intercalation(config, np.random.default_rng(seed)).atoms


def test_first_stage_of_lithium_in_graphite():
    atoms = build(concentration=0.16667, gallery_expansion=0.35)
    assert atoms.symbols.formula.count() == {'C': 36, 'Li': 6}
    assert atoms.cell[2, 2] == pytest.approx(2 * (3.354 + 0.35))
    lithium = atoms[atoms.symbols == 'Li']
    assert np.unique(np.round(lithium.positions[:, 2], 6)) == pytest.approx([3.704 / 2, 3.704 * 1.5])
    # Above and below the middles of hexagons: twelve equal distances to carbon.
    for index in np.flatnonzero(atoms.symbols == 'Li'):
        carbon = np.sort(atoms.get_distances(index, np.flatnonzero(atoms.symbols == 'C'), mic=True))
        assert carbon[:12] == pytest.approx([np.hypot(3.704 / 2, 2.461 / np.sqrt(3))] * 12, abs=1e-6)
    # The ordered √3 × √3 arrangement: the farthest that three of nine hexagons can be apart.
    distances = lithium[:3].get_all_distances(mic=True)
    assert distances[~np.eye(3, dtype=bool)] == pytest.approx(np.sqrt(3) * 2.461)


def test_stage_fills_every_second_gallery():
    atoms = build(host={'layers': 4}, count=2, stage=2, gallery_expansion=0.5)
    assert atoms.cell[2, 2] == pytest.approx(4 * 3.354 + 2 * 0.5)
    heights = np.unique(np.round(atoms.positions[atoms.symbols == 'C', 2], 6))
    assert np.diff(heights) == pytest.approx([3.354, 3.854, 3.354])
    guests = np.unique(np.round(atoms.positions[atoms.symbols == 'Li', 2], 6))
    assert guests == pytest.approx([3.354 + 3.854 / 2, 4 * 3.354 + 1.0 - 3.854 / 2])
    assert (atoms.symbols == 'Li').sum() == 4


def test_molecules_are_fragments():
    atoms = build(guest={'name': 'H2O'}, host={'repeat': (4, 4)}, count=1, gallery_expansion=3.0)
    fragments = get_fragments(atoms)
    assert np.bincount(fragments + 1).tolist() == [64, 3, 3]
    assert atoms.get_all_distances(mic=True)[fragments[:, None] != fragments].min() > 2.0


def test_same_seed_same_structure():
    keys = {'host': {'stacking': 'AB', 'repeat': (4, 4)}, 'count': 2}
    assert np.array_equal(build(3, **keys).positions, build(3, **keys).positions)
    assert not np.array_equal(build(3, **keys).positions, build(4, **keys).positions)


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'concentration': 0.16}, '"concentration" 0.16 gives 2.88.*take 0.111111 or 0.166667'),
        ({'count': 30}, '30 guests in a gallery of 9 sites'),
        ({'count': 1, 'gallery_expansion': -2.0, 'host': {'interlayer': 1.5}}, '"gallery_expansion" -2.0 closes'),
        (
            {'count': 1, 'guest': {'name': 'C6H6'}, 'host': {'repeat': (2, 2)}},
            'nearer than "min_distance" 1.5: raise "gallery_expansion"',
        ),
        ({'count': 1, 'guest': {'name': 'nonsense'}}, "'nonsense' is neither"),
    ],
)
def test_impossible_compounds(keys, message):
    with pytest.raises(ValueError, match=message):
        build(**keys)


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({}, 'exactly one of "concentration" and "count"'),
        ({'count': 1, 'host': {'periodic': False}}, '"host" must have "periodic"'),
        ({'count': 1, 'stage': 3}, '"stage" 3 does not divide the 2 "layers"'),
        ({'concentration': -0.1}, 'greater than 0'),
    ],
)
def test_config_combinations(keys, message):
    with pytest.raises(ValidationError, match=message):
        build(**keys)
