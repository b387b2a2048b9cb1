"""Builder ``surface_adsorbate``."""

import numpy as np
import pytest
from pydantic import ValidationError

from aiida_traincraft.science.atoms.conversion import to_pymatgen
from aiida_traincraft.science.atoms.fragments import get_fragments
from aiida_traincraft.science.geometry.builders.slab import SlabConfig, build_slabs
from aiida_traincraft.science.geometry.builders.surface_adsorbate import (
    SurfaceAdsorbateConfig,
    build_surface_adsorbate,
    find_sites,
)

SLAB = {'name': 'Cu', 'facet': 'fcc111', 'size': (3, 3, 4), 'a': 3.6, 'vacuum': 7.0}
NEAREST = 3.6 / np.sqrt(2)


def build(seed=0, **keys):
    defaults = {'slab': SLAB, 'adsorbate': {'name': 'O'}, 'height': 1.4}
    config = SurfaceAdsorbateConfig(**defaults | keys)
    return [structure.atoms for structure in build_surface_adsorbate(config, np.random.default_rng(seed))]


@pytest.mark.parametrize(
    ('site', 'lateral', 'neighbours'),
    [('ontop', 0.0, 1), ('bridge', NEAREST / 2, 2), ('hollow', NEAREST / np.sqrt(3), 3)],
)
def test_sites_have_their_neighbours_at_the_height_asked(site, lateral, neighbours):
    (atoms,) = build(sites=(site,), count=1)
    slab = np.flatnonzero(atoms.symbols == 'Cu')
    top = slab[atoms.positions[slab, 2] > atoms.positions[slab, 2].max() - 0.1]
    oxygen = int(np.flatnonzero(atoms.symbols == 'O')[0])
    assert atoms.positions[oxygen, 2] - atoms.positions[top, 2].max() == pytest.approx(1.4)
    distances = np.sort(atoms.get_distances(oxygen, top, mic=True))
    assert distances[:neighbours] == pytest.approx([np.hypot(1.4, lateral)] * neighbours, abs=1e-4)
    assert distances[neighbours] > distances[0] + 0.1


@pytest.mark.parametrize(('coverage', 'count'), [(1 / 9, 1), (0.3333, 3), (2 / 3, 6), (1.0, 9)])
def test_coverage_gives_an_exact_number(coverage, count):
    (atoms,) = build(coverage=coverage, sites=('ontop',))
    assert (atoms.symbols == 'O').sum() == count
    oxygen = atoms[atoms.symbols == 'O']
    distances = oxygen.get_all_distances(mic=True)[~np.eye(count, dtype=bool)]
    assert distances.min(initial=np.inf) >= 2.0


def test_fragments_and_orientation_of_molecules():
    (upright,) = build(adsorbate={'name': 'CO'}, count=3, sites=('ontop',), min_distance=2.3)
    fragments = get_fragments(upright)
    assert np.bincount(fragments + 1).tolist() == [36, 2, 2, 2]
    heights = upright.positions[:, 2]
    assert heights[upright.symbols == 'C'].max() < heights[upright.symbols == 'O'].min()
    several = build(adsorbate={'name': 'CO'}, count=1, orientations=5)
    tilts = [np.subtract(*atoms.positions[-2:])[2] for atoms in several]
    assert len(several) == 5
    assert len(set(np.round(tilts, 6))) == 5
    for atoms in several:
        top = atoms.positions[atoms.symbols == 'Cu', 2].max()
        assert atoms.positions[-2:, 2].min() - top == pytest.approx(1.4)
        assert np.linalg.norm(np.subtract(*atoms.positions[-2:])) == pytest.approx(1.1503, abs=1e-3)


def test_turned_molecules_keep_their_distance_on_a_large_slab():
    slab = SLAB | {'size': (12, 9, 2)}
    (atoms,) = build(slab=slab, adsorbate={'name': 'CH3OH'}, count=20, orientations=1, sites=('ontop', 'hollow'))
    fragments = get_fragments(atoms)
    guests = atoms[fragments >= 0]
    apart = np.not_equal.outer(fragments[fragments >= 0], fragments[fragments >= 0])
    assert guests.get_all_distances(mic=True)[apart].min() >= 2.0
    sites = np.array([guests.positions[number * 6 : number * 6 + 6, :2].mean(axis=0) for number in range(20)])
    assert (np.ptp(sites, axis=0) > atoms.cell.lengths()[:2] / 2).all()


def test_every_termination_is_covered():
    perovskite = {
        'spacegroup': 221,
        'a': 3.905,
        'basis': (
            {'element': 'Sr', 'position': (0.0, 0.0, 0.0)},
            {'element': 'Ti', 'position': (0.5, 0.5, 0.5)},
            {'element': 'O', 'position': (0.5, 0.5, 0.0)},
        ),
    }
    slab = {'crystal': perovskite, 'miller': (1, 0, 0), 'size': (2, 2, 2), 'terminations': 'all', 'symmetric': True}
    covered = build(slab=slab, adsorbate={'name': 'H'}, count=1, orientations=2)
    assert len(covered) == 4
    assert len({atoms.get_chemical_formula() for atoms in covered}) == 2


def test_same_seed_same_structure():
    keys = {'adsorbate': {'name': 'H2O'}, 'count': 2, 'orientations': 1}
    assert np.array_equal(build(3, **keys)[0].positions, build(3, **keys)[0].positions)
    assert not np.array_equal(build(3, **keys)[0].positions, build(4, **keys)[0].positions)


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'coverage': 0.3}, '"coverage" 0.3 of 9 surface atoms is no whole number.*0.222222 or 0.333333'),
        ({'count': 100, 'sites': ('ontop',)}, '100 adsorbates on 9 "sites"'),
        ({'count': 9, 'min_distance': 4.0}, '"min_distance" 4.0 leaves room for'),
        (
            {'count': 1, 'adsorbate': {'name': 'C6H6'}, 'slab': SLAB | {'size': (1, 1, 3)}},
            '"min_distance" 2.0 leaves room for 0.*raise "size"',
        ),
        ({'count': 1, 'height': 13.0}, '"vacuum" 7.0 of the slab leaves'),
        ({'count': 1, 'adsorbate': {'name': 'nonsense'}}, "'nonsense' is neither an element nor a molecule"),
    ],
)
def test_impossible_coverings(keys, message):
    with pytest.raises(ValueError, match=message):
        build(**keys)


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({}, 'exactly one of "count" and "coverage"'),
        ({'count': 1, 'coverage': 0.5}, 'exactly one of "count" and "coverage"'),
        ({'count': 1, 'sites': ('top',)}, 'ontop'),
        ({'count': 1, 'sites': ()}, 'at least 1'),
    ],
)
def test_config_limits(keys, message):
    with pytest.raises(ValidationError, match=message):
        SurfaceAdsorbateConfig(slab=SLAB, adsorbate={'name': 'O'}, **keys)


@pytest.mark.parametrize('facet', ['fcc111', 'fcc110', 'fcc100'])
def test_sites_are_those_of_the_whole_slab(facet):
    """Only the atoms of the surface are shown to pymatgen."""
    from pymatgen.analysis.adsorption import AdsorbateSiteFinder

    (slab,) = build_slabs(SlabConfig(**SLAB | {'facet': facet}))
    finder = AdsorbateSiteFinder(to_pymatgen(slab), mi_vec=[0, 0, 1])
    kinds = ('ontop', 'bridge')
    told = finder.find_adsorption_sites(distance=1.4, symm_reduce=0, near_reduce=0.01, positions=kinds)
    places, n_surface = find_sites(slab, kinds, 1.4)
    assert places == pytest.approx(np.concatenate([told[kind] for kind in kinds]))
    assert n_surface == len(finder.surface_sites)
