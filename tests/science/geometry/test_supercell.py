"""Transform ``supercell``: to a target size and shape, and the molecules in it."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.constraints import FixAtoms

from aiida_traincraft.science.atoms.fragments import molecules, set_fragments
from aiida_traincraft.science.geometry.transforms.supercell import SupercellConfig, supercell
from aiida_traincraft.science.structure import Structure


def large(atoms, **keys):
    return supercell(Structure(atoms), SupercellConfig(**keys), np.random.default_rng(0)).atoms


def widths(atoms):
    return 1.0 / np.linalg.norm(atoms.cell.reciprocal(), axis=1)


@pytest.mark.parametrize(('target', 'count', 'edge'), [(4, 4, 1), (35, 32, 2), (110, 108, 3)])
def test_target_atoms_finds_the_cube(target, count, edge):
    atoms = large(bulk('Cu', a=3.6), target_atoms=target, shape='cubic')
    assert len(atoms) == count
    assert atoms.cell.cellpar() == pytest.approx([3.6 * edge] * 3 + [90] * 3)
    distances = atoms.get_all_distances(mic=True)[~np.eye(count, dtype=bool)]
    assert distances.min() == pytest.approx(3.6 / np.sqrt(2))


def test_cube_of_a_rotated_hexagonal_cell():
    atoms = bulk('Mg', a=3.2, c=5.2)
    atoms.rotate(33, (1, 2, 3), rotate_cell=True)
    atoms = large(atoms, target_atoms=100, shape='cubic')
    assert 75 <= len(atoms) <= 100
    assert np.linalg.det(atoms.cell.array) > 0
    assert widths(atoms).min() > 0.8 * atoms.cell.volume ** (1 / 3)


def test_any_shape_repeats_the_narrowest_direction_first():
    atoms = Atoms('H', cell=[2.0, 3.0, 7.0], pbc=True)
    assert large(atoms, target_atoms=14).cell.lengths() == pytest.approx([8.0, 9.0, 7.0])
    assert large(atoms, target_length=8.0).cell.lengths() == pytest.approx([8.0, 9.0, 14.0])


@pytest.mark.parametrize('shape', ['any', 'cubic'])
def test_target_length_is_the_smallest_width(shape):
    atoms = large(bulk('Cu', a=3.6), target_length=10.0, shape=shape)
    assert widths(atoms).min() >= 10.0
    if shape == 'cubic':
        assert len(atoms) == 108
        assert atoms.cell.angles() == pytest.approx([90] * 3)


def test_vacuum_is_not_repeated():
    slab = fcc111('Cu', (1, 1, 3), a=3.6, vacuum=5.0)
    atoms = large(slab, target_length=7.0)
    assert atoms.cell.lengths()[2] == pytest.approx(slab.cell.lengths()[2])
    assert len(atoms) == 4 * 4 * 3
    assert len(large(slab, target_atoms=20)) == 18
    with pytest.raises(ValueError, match='"shape" "cubic" needs three periodic directions; not periodic: c'):
        large(slab, target_atoms=20, shape='cubic')


@pytest.mark.parametrize(
    'keys', [{'repeat': (2, 1, 1)}, {'matrix': ((1, 1, 0), (-1, 1, 0), (0, 0, 1))}, {'target_atoms': 20}]
)
def test_images_of_a_molecule_across_the_border_are_whole_and_apart(keys):
    atoms = molecule('H2O')
    atoms.set_cell([5.0, 5.0, 5.0])
    atoms.set_pbc(True)
    atoms.positions -= atoms.positions[0]
    atoms.wrap()
    metal = Atoms('Au', [[2.5, 2.5, 2.5]])
    set_fragments(atoms, 0)
    set_fragments(metal, -1)
    atoms += metal
    tiled = large(atoms, **keys)
    images = len(tiled) // 4
    assert images > 1
    assert (tiled.arrays['tc_fragment'][tiled.symbols == 'Au'] == -1).all()
    found = molecules(tiled)
    assert len(found) == images
    for members in found:
        assert sorted(tiled.symbols[members]) == ['H', 'H', 'O']
        assert tiled[members].get_all_distances(mic=True).max() < 1.7


def test_constraints_and_arrays_are_repeated_by_a_matrix_too():
    atoms = bulk('NaCl', 'rocksalt', a=5.6)
    atoms.set_initial_magnetic_moments([0.5, -0.5])
    atoms.set_constraint(FixAtoms([1]))
    tiled = large(atoms, matrix=((-1, 1, 1), (1, -1, 1), (1, 1, -1)))
    assert tiled.constraints[0].index.tolist() == np.flatnonzero(tiled.symbols == 'Cl').tolist()
    assert (tiled.get_initial_magnetic_moments() == np.where(tiled.symbols == 'Na', 0.5, -0.5)).all()


@pytest.mark.parametrize(
    ('atoms', 'keys', 'message'),
    [
        (bulk('Cu', cubic=True), {'target_atoms': 3}, '"target_atoms" is 3, but there are 4 atoms already'),
        (bulk('Cu'), {'target_atoms': 10**9}, '"target_atoms" asks for 1e'),
        (bulk('Cu'), {'target_length': 1e5}, '"target_length" asks for'),
        (bulk('Cu'), {'target_length': 1e5, 'shape': 'cubic'}, '"target_length" asks for'),
        (bulk('Cu'), {'repeat': (10**6, 10**6, 10**6)}, r'"repeat" asks for 1e\+18'),
        (bulk('Cu'), {'matrix': ((10**6, 0, 0), (0, 10**6, 1), (0, 0, 1))}, r'"matrix" asks for 1e\+12'),
        (molecule('H2O'), {'target_atoms': 9}, '"target_atoms" needs a periodic direction with a cell vector'),
        (molecule('H2O'), {'matrix': ((1, 1, 0), (0, 1, 0), (0, 0, 2))}, 'there is none along a, b, c'),
    ],
)
def test_what_cannot_be_done(atoms, keys, message):
    with pytest.raises(ValueError, match=message):
        large(atoms, **keys)


@pytest.mark.parametrize(
    'keys', [{'target_atoms': 9, 'target_length': 9.0}, {'repeat': (1, 1, 1), 'shape': 'cubic'}, {'target_length': 0.0}]
)
def test_config(keys):
    with pytest.raises(ValueError, match=r'exactly one|"shape" goes with|greater than 0'):
        SupercellConfig(**keys)
