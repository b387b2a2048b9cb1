"""Fragments: found by connectivity, kept through repetition and through pymatgen and RDKit."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, graphene, molecule, nanotube

from aiida_traincraft.science.atoms.conversion import from_pymatgen, from_rdkit, to_pymatgen, to_rdkit
from aiida_traincraft.science.atoms.fragments import (
    FRAGMENT,
    append,
    get_fragments,
    infer_fragments,
    molecules,
    repeat,
    set_fragments,
)


@pytest.fixture
def two_waters() -> Atoms:
    """Two molecules in a box, one of them across its border."""
    box = molecule('H2O')
    other = molecule('H2O')
    other.translate([4.0, 0.0, 5.9])
    box += other
    box.set_cell([6.0, 6.0, 6.0])
    box.pbc = True
    box.wrap()
    return box


def test_without_an_array_all_is_framework():
    assert get_fragments(bulk('Cu', cubic=True)).tolist() == [-1] * 4


@pytest.mark.parametrize(
    'endless',
    [
        bulk('NaCl', 'rocksalt', a=5.6),
        graphene(vacuum=5.0),
        nanotube(5, 0, vacuum=5.0),
        fcc111('Cu', (2, 2, 3), vacuum=5),
    ],
)
def test_what_is_bonded_to_its_own_image_is_framework(endless):
    assert set(infer_fragments(endless)) == {-1}


def test_molecules_are_found_across_the_border(two_waters):
    assert infer_fragments(two_waters).tolist() == [0, 0, 0, 1, 1, 1]


def test_molecules_on_a_slab():
    slab = fcc111('Pt', (3, 3, 3), vacuum=8.0)
    guest = molecule('CO')
    guest.translate(slab.positions[-1] - guest.positions[1] + [0, 0, 3.5])
    slab += guest
    assert infer_fragments(slab).tolist() == [-1] * 27 + [0, 0]


def test_isolated_atoms_are_molecules():
    assert infer_fragments(Atoms('ArAr', [[0, 0, 0], [0, 0, 6.0]])).tolist() == [0, 1]


def test_every_image_of_a_molecule_gets_a_number(two_waters):
    set_fragments(two_waters, [0, 0, 0, -1, -1, -1])
    large = repeat(two_waters, (1, 2, 2))
    fragments = get_fragments(large)
    assert sorted(set(fragments)) == [-1, 0, 1, 2, 3]
    assert [len(members) for members in molecules(large)] == [3] * 4
    for members in molecules(large):
        assert large.get_distances(members[0], members[1:], mic=True) == pytest.approx([0.969, 0.969], abs=2e-3)


def test_appended_molecules_stay_apart(two_waters):
    host = fcc111('Cu', (2, 2, 2), vacuum=5.0)
    append(host, molecule('CO'))
    set_fragments(two_waters, [0, 0, 0, 1, 1, 1])
    append(host, two_waters)
    assert get_fragments(host).tolist() == [-1] * 8 + [0, 0, 1, 1, 1, 2, 2, 2]


def test_pymatgen_keeps_fragments(two_waters):
    set_fragments(two_waters, infer_fragments(two_waters))
    back = from_pymatgen(to_pymatgen(two_waters))
    assert type(back) is Atoms
    assert back.pbc.all()
    assert back.arrays[FRAGMENT].tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_allclose(back.get_all_distances(mic=True), two_waters.get_all_distances(mic=True), atol=1e-8)
    alone = molecule('CH3OH')
    set_fragments(alone, 0)
    assert from_pymatgen(to_pymatgen(alone)).arrays[FRAGMENT].tolist() == [0] * 6


def test_rdkit_keeps_fragments():
    pair = molecule('C2H4')
    set_fragments(pair, 3)
    other = molecule('H2O')
    set_fragments(other, 7)
    other.translate([0, 0, 5.0])
    pair += other
    found = to_rdkit(pair)
    assert sorted(str(bond.GetBondType()) for bond in found.GetBonds()) == ['DOUBLE'] + ['SINGLE'] * 6
    back = from_rdkit(found)
    assert back.get_chemical_symbols() == pair.get_chemical_symbols()
    assert back.arrays[FRAGMENT].tolist() == [3] * 6 + [7] * 3
    np.testing.assert_allclose(back.positions, pair.positions)


def test_rdkit_numbers_molecules_without_fragments():
    from rdkit import Chem
    from rdkit.Chem import AllChem

    salt = Chem.AddHs(Chem.MolFromSmiles('O.CO'))
    AllChem.EmbedMolecule(salt, randomSeed=1)
    assert sorted(get_fragments(from_rdkit(salt)).tolist()) == [0] * 3 + [1] * 6


def test_geometry_that_is_no_molecule():
    with pytest.raises(ValueError, match='CH with charge 0 e has no bonds that fit'):
        to_rdkit(Atoms('CH', [[0, 0, 0], [0, 0, 1.1]]))
