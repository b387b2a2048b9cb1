"""Molecules, liquids, clusters and pairs: counts, distances, density."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from ase.data import covalent_radii
from ase.geometry import get_distances
from ase.units import kg

from aiida_traincraft.science.atoms.fragments import get_fragments, infer_fragments, molecules
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.config.systems import GeometryConfig
from aiida_traincraft.science.geometry import build_geometries


def build(plugin_kind, seed=1, **keys):
    return build_geometries(GeometryConfig.model_validate({plugin_kind: parse_plugin(plugin_kind, keys)}), seed=seed)


def density(atoms) -> float:
    """Mass density (g/cm³)."""
    return atoms.get_masses().sum() / kg * 1e3 / (atoms.get_volume() * 1e-24)


@pytest.mark.parametrize('origin', [{'name': 'CH3CH2OH'}, {'smiles': 'CCO'}])
def test_molecule_with_vacuum(origin):
    (structure,) = build('builder', type='molecule', vacuum=4.0, **origin)
    atoms = structure.atoms
    assert atoms.symbols.formula.count() == {'C': 2, 'O': 1, 'H': 6}
    assert set(get_fragments(atoms)) == {0}
    assert not atoms.pbc.any()
    assert atoms.positions.min(axis=0) == pytest.approx([4, 4, 4])
    assert (atoms.cell.lengths() - atoms.positions.max(axis=0)) == pytest.approx([4, 4, 4])
    assert set(infer_fragments(atoms)) == {0}


def test_molecule_in_a_box():
    (structure,) = build('builder', type='molecule', name='H2O', box=(8.0, 9.0, 10.0))
    assert structure.atoms.pbc.all()
    assert structure.atoms.cell.lengths() == pytest.approx([8, 9, 10])
    with pytest.raises(ValueError, match=r'"box" .* is smaller than the molecule'):
        build('builder', type='molecule', name='C6H6', box=(3.0, 3.0, 3.0))


def test_conformers_differ_and_repeat_with_the_seed():
    first, again, other = (build('source', seed, type='smiles', smiles='CCCCO', n_conformers=3) for seed in (1, 1, 2))
    assert len(first) == 3
    hashes = [[item.content_hash() for item in found] for found in (first, again, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert len(set(hashes[0])) == 3
    for structure in first:
        assert structure.formula == 'C4H10O'
        assert set(infer_fragments(structure.atoms)) == {0}
        assert structure.provenance['smiles'] == 'CCCCO'
        assert structure.provenance['charge'] == structure.provenance['radical_electrons'] == 0


def test_two_molecules_of_one_smiles_are_two_fragments():
    (structure,) = build('source', type='smiles', smiles='O.CO')
    assert sorted(map(len, molecules(structure.atoms))) == [3, 6]


def test_charges_and_radicals_are_told():
    facts = [build('source', type='smiles', smiles=smiles)[0].provenance for smiles in ('[NH4+]', '[CH3]', '[O-][O]')]
    assert [(fact['charge'], fact['radical_electrons']) for fact in facts] == [(1, 0), (0, 1), (-1, 1)]


def test_long_chain_is_embedded():
    (structure,) = build('source', type='smiles', smiles='C' * 40)
    assert structure.formula == 'C40H82'
    assert set(infer_fragments(structure.atoms)) == {0}


def test_molecule_beyond_the_g2_set():
    (structure,) = build('builder', type='molecule', name='C60')
    assert len(structure) == 60


@pytest.mark.parametrize('smiles', ['C1CC', 'not a molecule', '', '*', '[Xx]', 'C' * 2000])
def test_smiles_that_is_none(smiles):
    with pytest.raises(ValueError, match='smiles'):
        build('source', type='smiles', smiles=smiles)


def test_scratch():
    (methanol,) = build('source', type='scratch', kind='molecule', name='CH3OH')
    assert methanol.formula == 'CH4O'
    assert methanol.atoms.cell.rank == 0
    (copper,) = build('source', type='scratch', kind='bulk', name='Cu', cubic=True)
    assert len(copper) == 4
    for kind in ('molecule', 'bulk'):
        with pytest.raises(ValueError, match=r'"name": .*Nothing'):
            build('source', type='scratch', kind=kind, name='Nothing')


def test_mixture_of_exact_numbers_and_density():
    species = [{'name': 'H2O', 'ratio': 3.0}, {'smiles': 'CO', 'ratio': 1.0}]
    first, again, other = (
        build('builder', seed, type='liquid', density=0.9, n_molecules=14, species=species)[0] for seed in (1, 1, 2)
    )
    atoms = first.atoms
    # 10.5 and 3.5: the larger remainder comes first where both are equal.
    sizes = sorted(map(len, molecules(atoms)))
    assert sizes == [3] * 11 + [6] * 3
    assert density(atoms) == pytest.approx(0.9, rel=0.02)
    assert first.content_hash() == again.content_hash() != other.content_hash()
    assert atoms.pbc.all()
    fragments = get_fragments(atoms)
    distances = atoms.get_all_distances(mic=True)
    assert distances[fragments[:, None] != fragments].min() > 1.95
    for members in molecules(atoms):
        assert set(infer_fragments(atoms[members])) == {0}


def test_liquid_in_a_box():
    (structure,) = build(
        'builder', type='liquid', box=(12.0, 12.0, 20.0), species=[{'name': 'Ar', 'count': 9}], tolerance=3.0
    )
    atoms = structure.atoms
    assert atoms.cell.lengths() == pytest.approx([12, 12, 20])
    assert structure.formula == 'Ar9'
    assert atoms.get_all_distances(mic=True)[~np.eye(9, dtype=bool)].min() > 2.95


@pytest.mark.parametrize(
    ('keys', 'told'),
    [
        ({'density': -1.0}, 'density'),
        ({'density': 1.0, 'box': (5.0, 5.0, 5.0)}, '"density" and "box"'),
        ({'density': 1.0, 'species': [{'name': 'H2O', 'ratio': 1.0}]}, '"ratio" needs "n_molecules"'),
        ({'density': 1.0, 'species': [{'name': 'H2O', 'count': 0}]}, 'count'),
        ({'density': 1.0, 'species': [{'name': 'Unknownium', 'count': 1}]}, r'"name": .*Unknownium'),
        ({'density': 25.0, 'seconds': 5.0}, 'lower the density'),
        ({'box': (1.0, 9.0, 9.0)}, 'has no room'),
        ({'density': 1.0, 'species': [{'name': 'C6H6', 'count': 100000}]}, 'more than the 100000'),
    ],
)
def test_liquids_that_cannot_be(keys, told):
    with pytest.raises(ValueError, match=told):
        build('builder', **{'type': 'liquid', 'species': [{'name': 'H2O', 'count': 8}]} | keys)


def test_water_on_a_slab():
    (structure,) = build(
        'builder', type='surface_packing', species=[{'name': 'H2O', 'count': 8}], thickness=8.0, vacuum=10.0,
        slab={'type': 'slab', 'name': 'Cu', 'facet': 'fcc100', 'size': (4, 4, 2), 'a': 3.6},
    )  # fmt: skip
    atoms, fragments = structure.atoms, get_fragments(structure.atoms)
    slab, water = atoms[fragments < 0], atoms[fragments >= 0]
    assert slab.get_chemical_formula() == 'Cu32'
    assert len(molecules(atoms)) == 8
    assert water.positions[:, 2].min() - slab.positions[:, 2].max() > 1.9
    _, distances = get_distances(slab.positions, water.positions, cell=atoms.cell, pbc=atoms.pbc)
    assert distances.min() > 1.9
    between = atoms.get_all_distances(mic=True)
    assert between[(fragments[:, None] != fragments) & (fragments >= 0) & (fragments[:, None] >= 0)].min() > 1.95
    assert atoms.cell.lengths()[2] - np.ptp(atoms.positions[:, 2]) > 9.9


def test_packing_needs_a_rectangular_slab():
    with pytest.raises(ValueError, match='"slab" has a cell with angles'):
        build(
            'builder', type='surface_packing', species=[{'name': 'H2O', 'count': 1}], thickness=8.0,
            slab={'type': 'slab', 'name': 'Cu', 'facet': 'fcc111', 'size': (2, 2, 2), 'a': 3.6},
        )  # fmt: skip


def test_every_pair_of_elements_is_scanned():
    found = build('builder', type='dimer', elements=['Cu', 'O', 'H'], n=4, shortest=0.5, longest=2.0)
    assert len(found) == 6 * 4
    pairs = [item.provenance['pair'] for item in found[::4]]
    assert pairs == ['Cu-Cu', 'Cu-O', 'Cu-H', 'O-O', 'O-H', 'H-H']
    for number in range(0, 24, 4):
        scan = found[number : number + 4]
        radii = covalent_radii[scan[0].atoms.numbers].sum()
        distances = [item.atoms.get_distance(0, 1) for item in scan]
        assert distances == pytest.approx(np.linspace(0.5, 2.0, 4) * radii)
        assert distances == pytest.approx([item.provenance['distance'] for item in scan], abs=1e-5)
        assert all(a < b for a, b in pairwise(distances))


def test_pairs_in_a_box():
    found = build('builder', type='dimer', elements=['Ar'], box=12.0, n=2)
    assert all(item.atoms.pbc.all() for item in found)
    with pytest.raises(ValueError, match=r'"box" 5.0 Å is smaller'):
        build('builder', type='dimer', elements=['Ar'], box=5.0, n=2)


@pytest.mark.parametrize(
    ('keys', 'n_atoms'),
    [
        ({'shape': 'icosahedron', 'shells': 3}, 55),
        ({'shape': 'octahedron', 'shells': 4}, 44),
        ({'shape': 'octahedron', 'shells': 5, 'cutoff': 1}, 79),
        ({'shape': 'decahedron', 'shells': 2}, 13),
    ],
)
def test_magic_numbers(keys, n_atoms):
    (structure,) = build('builder', type='cluster', name='Au', vacuum=5.0, **keys)
    atoms = structure.atoms
    assert len(atoms) == n_atoms
    assert not atoms.pbc.any()
    nearest = atoms.get_all_distances()[~np.eye(n_atoms, dtype=bool)].min()
    assert nearest == pytest.approx(4.08 / np.sqrt(2), rel=0.06)
    assert atoms.positions.min(axis=0) == pytest.approx([5, 5, 5])


def test_wulff_shape():
    (structure,) = build(
        'builder', type='cluster', shape='wulff', name='Cu', n=200, surfaces={'111': 1.0, '100': 1.15}, a=3.6
    )
    atoms = structure.atoms
    assert 150 <= len(atoms) <= 250
    from_centre = np.linalg.norm(atoms.positions - atoms.positions.mean(axis=0), axis=1)
    # Compact: no larger than the truncated octahedron about a sphere of the same volume.
    assert from_centre.max() < 1.4 * (len(atoms) * 3.6**3 / 4 * 3 / (4 * np.pi)) ** (1 / 3)


def test_random_cluster():
    first, again, other = (
        build('builder', seed, type='cluster', shape='random', composition={'Cu': 8, 'Au': 5})[0] for seed in (1, 1, 2)
    )
    assert first.formula == 'Au5Cu8'
    assert first.content_hash() == again.content_hash() != other.content_hash()
    atoms = first.atoms
    radii = covalent_radii[atoms.numbers]
    ratio = atoms.get_all_distances() / (radii[:, None] + radii)
    assert ratio[~np.eye(13, dtype=bool)].min() >= 0.9 - 1e-6
    assert set(infer_fragments(atoms)) == {0}


@pytest.mark.parametrize(
    ('keys', 'told'),
    [
        ({'shape': 'icosahedron', 'name': 'Au'}, 'needs "shells"'),
        ({'shape': 'wulff', 'name': 'Au', 'n': 50, 'surfaces': {'11': 1.0}}, '"surfaces" has'),
        ({'shape': 'random'}, 'needs "composition"'),
        ({'shape': 'random', 'composition': {'Xx': 3}}, 'no chemical symbol'),
        ({'shape': 'octahedron', 'name': 'Fe', 'shells': 3}, 'no octahedron'),
    ],
)
def test_clusters_that_cannot_be(keys, told):
    with pytest.raises(ValueError, match=told):
        build('builder', type='cluster', **keys)
