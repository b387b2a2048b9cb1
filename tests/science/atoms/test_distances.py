"""Distances in covalent radii."""

import time

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.data import covalent_radii

from aiida_traincraft.science.atoms.distances import minimum_distance


def test_known_distance_in_a_crystal():
    radius = covalent_radii[29]
    assert minimum_distance(bulk('Cu', a=3.6)) == pytest.approx(3.6 / np.sqrt(2) / (2 * radius))


def test_agrees_with_all_pairs():
    atoms = molecule('CH3CH2OH')
    distances = atoms.get_all_distances()
    radii = covalent_radii[atoms.numbers]
    ratios = (distances / (radii[:, None] + radii[None, :]))[~np.eye(len(atoms), dtype=bool)]
    assert minimum_distance(atoms) == pytest.approx(ratios.min())


def test_neighbour_across_the_cell_boundary():
    atoms = Atoms('Cu2', positions=[[0.1, 0, 0], [9.9, 0, 0]], cell=[10, 10, 10], pbc=True)
    assert minimum_distance(atoms) == pytest.approx(0.2 / (2 * covalent_radii[29]))
    atoms.pbc = False
    assert minimum_distance(atoms) == pytest.approx(9.8 / (2 * covalent_radii[29]))


def test_own_image_counts():
    assert minimum_distance(Atoms('Cu', cell=[1, 20, 20], pbc=True)) == pytest.approx(1 / (2 * covalent_radii[29]))


def test_isolated_atom_and_coinciding_atoms():
    assert minimum_distance(Atoms('Cu')) == float('inf')
    assert minimum_distance(Atoms()) == float('inf')
    assert minimum_distance(Atoms('Cu2', positions=np.zeros((2, 3)))) == 0.0


def test_a_distant_pair_is_found():
    assert minimum_distance(Atoms('H2', positions=[[0, 0, 0], [0, 0, 1000]])) == pytest.approx(
        1000 / (2 * covalent_radii[1])
    )


def test_bad_numbers_are_refused():
    with pytest.raises(ValueError, match='not finite'):
        minimum_distance(Atoms('H2', positions=[[0, 0, 0], [0, 0, np.nan]]))
    with pytest.raises(ValueError, match='no cell vector'):
        minimum_distance(Atoms('H', cell=[3, 3, 0], pbc=True))


def test_does_not_grow_with_the_square():
    start = time.process_time()
    minimum_distance(bulk('Cu', cubic=True).repeat(12))
    # All pairs of 6912 atoms with their images would take minutes and gigabytes.
    assert time.process_time() - start < 20
