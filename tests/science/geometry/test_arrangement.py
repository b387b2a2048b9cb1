"""Transforms ``vacuum``, ``rotate``, ``set_pbc``, ``constraints`` and ``sort``."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, hcp0001, molecule

from aiida_traincraft.science.atoms.fragments import set_fragments
from aiida_traincraft.science.geometry.transforms.constraints import ConstraintsConfig, constraints
from aiida_traincraft.science.geometry.transforms.rotate import RotateConfig, rotate
from aiida_traincraft.science.geometry.transforms.set_pbc import SetPbcConfig, set_pbc
from aiida_traincraft.science.geometry.transforms.sort import SortConfig, sort
from aiida_traincraft.science.geometry.transforms.vacuum import VacuumConfig, vacuum
from aiida_traincraft.science.sampling import run_sampling
from aiida_traincraft.science.sampling.rattle import RattleConfig
from aiida_traincraft.science.structure import Structure


def apply(function, atoms, config):
    return function(Structure(atoms), config, np.random.default_rng(0)).atoms


# ---- vacuum ----


@pytest.mark.parametrize(('axis', 'number'), [('a', 0), ('b', 1), ('c', 2)])
def test_vacuum_is_exact_on_both_sides_of_a_skew_cell(axis, number):
    atoms = bulk('Cu', a=3.6).repeat((3, 3, 3))
    empty = apply(vacuum, atoms, VacuumConfig(thickness=6.0, axis=axis))
    normal = np.cross(*np.delete(empty.cell.array, number, axis=0))
    normal /= np.linalg.norm(normal)
    heights = empty.positions @ normal
    faces = sorted([0.0, float(empty.cell[number] @ normal)])
    assert [heights.min() - faces[0], faces[1] - heights.max()] == pytest.approx([6.0, 6.0])
    assert empty.pbc.tolist() == [place != number for place in range(3)]
    before, after = atoms.get_all_distances(), empty.get_all_distances()
    assert after == pytest.approx(before)


def test_vacuum_replaces_the_old_one_and_may_stay_periodic():
    slab = fcc111('Cu', (2, 2, 3), vacuum=12.0, periodic=True)
    thick = np.ptp(slab.positions[:, 2])
    thin = apply(vacuum, slab, VacuumConfig(thickness=4.0, periodic=True))
    assert thin.cell[2, 2] == pytest.approx(thick + 8.0)
    assert thin.pbc.all()


def test_a_slab_across_the_border_is_cut_at_its_own_gap():
    slab = fcc111('Cu', (1, 1, 4), vacuum=6.0, periodic=True)
    thick = np.ptp(slab.positions[:, 2])
    slab.positions[:, 2] += 0.5 * slab.cell[2, 2]
    slab.wrap()
    assert np.ptp(slab.positions[:, 2]) > thick + 5
    whole = apply(vacuum, slab, VacuumConfig(thickness=5.0))
    assert np.ptp(whole.positions[:, 2]) == pytest.approx(thick)


def test_molecules_are_not_cut():
    atoms = molecule('H2O')
    set_fragments(atoms, 0)
    other = molecule('H2O')
    other.positions += [0, 0, 4.0]
    set_fragments(other, 1)
    atoms += other
    atoms.set_cell([5.0, 5.0, 8.0])
    atoms.set_pbc(True)
    atoms.wrap()
    assert atoms[:3].get_all_distances().max() > 2
    whole = apply(vacuum, atoms, VacuumConfig(thickness=3.0))
    for part in (whole[:3], whole[3:]):
        assert part.get_all_distances().max() < 1.6
    assert whole.positions[:, 2].min() == pytest.approx(3.0)


def test_a_molecule_gets_a_box():
    box = apply(vacuum, molecule('CH4'), VacuumConfig(thickness=5.0, axis='all'))
    assert box.positions.min(axis=0) == pytest.approx([5.0] * 3)
    assert box.cell.lengths() == pytest.approx(np.ptp(molecule('CH4').positions, axis=0) + 10.0)
    assert not box.pbc.any()


def test_no_width_is_an_error():
    with pytest.raises(ValueError, match='"thickness" 0 leaves a cell without width along c'):
        apply(vacuum, bulk('Cu'), VacuumConfig(thickness=0.0))
    with pytest.raises(ValueError, match='greater than or equal to 0'):
        VacuumConfig(thickness=-1.0)


# ---- rotate ----


def test_rotate_turns_counterclockwise_about_the_centre():
    atoms = Atoms('H2', [[1, 0, 0], [3, 0, 0]])
    assert apply(rotate, atoms, RotateConfig(angle=90.0)).positions == pytest.approx(np.array([[2, -1, 0], [2, 1, 0]]))
    about = apply(rotate, atoms, RotateConfig(angle=180.0, axis=(0.0, 3.0, 0.0))).positions
    assert about == pytest.approx(np.array([[3, 0, 0], [1, 0, 0]]), abs=1e-12)


def test_rotate_with_the_cell_keeps_everything_within():
    atoms = bulk('Ti').repeat((2, 2, 1))
    atoms.set_momenta(np.random.default_rng(0).normal(size=(8, 3)))
    turned = apply(rotate, atoms, RotateConfig(angle=37.0, axis=(1.0, 2.0, 0.5), rotate_cell=True))
    before, after = (one.get_scaled_positions(wrap=False) for one in (atoms, turned))
    assert after == pytest.approx(before)
    assert turned.get_all_distances(mic=True) == pytest.approx(atoms.get_all_distances(mic=True))
    assert turned.get_volume() == pytest.approx(atoms.get_volume())
    assert not np.allclose(turned.cell.array, atoms.cell.array)
    before, after = (np.einsum('ij,ij->i', one.get_momenta(), one.positions) for one in (atoms, turned))
    assert after == pytest.approx(before)


@pytest.mark.parametrize('keys', [{'angle': 1.0, 'axis': (0.0, 0.0, 0.0)}, {'angle': 1e9}, {'angle': 1.0, 'axis': 'w'}])
def test_rotate_config(keys):
    with pytest.raises(ValueError, match=r'no direction|less than or equal|should be'):
        RotateConfig(**keys)


# ---- set_pbc ----


def test_set_pbc():
    assert not apply(set_pbc, bulk('Cu'), SetPbcConfig(pbc=False)).pbc.any()
    assert apply(set_pbc, bulk('Cu'), SetPbcConfig(pbc=(True, False, True))).pbc.tolist() == [True, False, True]
    with pytest.raises(ValueError, match='"pbc" asks for a periodic direction along c'):
        apply(set_pbc, fcc111('Cu', (1, 1, 1)), SetPbcConfig(pbc=True))


# ---- constraints ----


@pytest.fixture
def covered():
    atoms = hcp0001('Ru', (2, 2, 2), vacuum=5.0)
    set_fragments(atoms, -1)
    water = molecule('H2O')
    water.positions += [2.0, 2.0, 10.0]
    set_fragments(water, 0)
    return atoms + water


@pytest.mark.parametrize(
    ('keys', 'fixed'),
    [
        ({'indices': (0, -1)}, [0, 10]),
        ({'elements': ('O', 'Ru')}, list(range(9))),
        ({'fragments': (0,)}, [8, 9, 10]),
        ({'fragments': (-1,)}, list(range(8))),
        ({'below_z': 5.1}, [0, 1, 2, 3]),
    ],
)
def test_constraints(covered, keys, fixed):
    atoms = apply(constraints, covered, ConstraintsConfig(**keys))
    assert atoms.constraints[0].index.tolist() == fixed
    assert not covered.constraints


def test_constraints_add_up_follow_their_atoms_and_end_with_sampling(covered):
    atoms = apply(constraints, covered, ConstraintsConfig(below_z=5.1))
    atoms = apply(constraints, atoms, ConstraintsConfig(elements=('O',)))
    (constraint,) = atoms.constraints
    assert constraint.index.tolist() == [0, 1, 2, 3, 8]
    ordered = apply(sort, atoms, SortConfig(by='element'))
    assert set(ordered.symbols[ordered.constraints[0].index]) == {'Ru', 'O'}
    (frame,) = run_sampling(Structure(atoms), None, None, RattleConfig(n=1, stdev=0.01))
    assert not frame.atoms.constraints
    assert np.abs(frame.atoms.positions - atoms.positions).min(axis=1).all()


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'indices': (11,)}, '"indices" has 11, but there are 11 atoms'),
        ({'indices': (-12,)}, '"indices" has -12'),
        ({'elements': ('Cu',)}, r"\"elements\" has 'Cu', which is not there; there are \['H', 'O', 'Ru'\]"),
        ({'fragments': (1,)}, r'"fragments" has 1, which is not there; there are \[-1, 0\]'),
        ({'below_z': 1.0}, '"below_z" is 1.0 Å, but the lowest atom is at z = 5.000'),
    ],
)
def test_constraints_that_mean_no_atom(covered, keys, message):
    with pytest.raises(ValueError, match=message):
        apply(constraints, covered, ConstraintsConfig(**keys))


@pytest.mark.parametrize('keys', [{}, {'indices': (0,), 'below_z': 1.0}, {'elements': ()}, {'fragments': (-2,)}])
def test_constraints_config(keys):
    with pytest.raises(ValueError, match=r'exactly one|at least 1|greater than or equal'):
        ConstraintsConfig(**keys)


# ---- sort ----


@pytest.mark.parametrize(
    ('by', 'expected'),
    [
        ('element', ['Cl', 'Cl', 'H', 'Na']),
        ('fragment', ['Na', 'Cl', 'H', 'Cl']),
        ('position', ['Cl', 'H', 'Cl', 'Na']),
    ],
)
def test_sort(by, expected):
    atoms = Atoms(['Na', 'Cl', 'H', 'Cl'], [[5, 0, 1], [2, 0, -1e-9], [1, 1, 0], [0, 0, 1]])
    set_fragments(atoms, [-1, 0, 1, 1])
    atoms.set_initial_charges([1, 2, 3, 4])
    ordered = apply(sort, atoms, SortConfig(by=by))
    assert ordered.get_chemical_symbols() == expected
    place = dict(zip([1, 2, 3, 4], atoms.positions, strict=True))
    for charge, row in zip(ordered.get_initial_charges(), ordered.positions, strict=True):
        assert np.array_equal(row, place[charge])
