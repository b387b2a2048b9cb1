from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111

from aiida_traincraft.science.config.training.pace_linear import PaceLinearTraining
from aiida_traincraft.science.training.ace.basis import basis_config
from aiida_traincraft.science.training.ace.design import RowBuilder

pyace = pytest.importorskip('pyace')


@pytest.fixture(scope='module')
def builder():
    """Two elements, with random coefficients."""
    basis = pyace.ACEBBasisSet(basis_config(PaceLinearTraining(cutoff=5.0), ['Al', 'Cu'], 25))
    rng = np.random.default_rng(0)
    basis.basis_coeffs = list(rng.normal(scale=1e-2, size=len(basis.basis_coeffs)))
    return RowBuilder(basis)


def alloy():
    atoms = bulk('Cu', a=3.8, cubic=True)
    atoms.symbols[1] = 'Al'
    atoms.rattle(0.1, seed=3)
    return atoms


def test_rows_times_coefficients_are_the_potential(builder):
    atoms, coefficients = alloy(), np.array(builder.basis.basis_coeffs)
    rows = builder.rows(atoms, stress=True)
    atoms.calc = pyace.PyACECalculator(builder.basis)
    assert rows.energy @ coefficients == pytest.approx(atoms.get_potential_energy() / 4, abs=1e-12)
    np.testing.assert_allclose((rows.forces @ coefficients).reshape(-1, 3), atoms.get_forces(), atol=1e-11)
    np.testing.assert_allclose(rows.stress @ coefficients, atoms.get_stress(), atol=1e-7)


def test_force_rows_are_finite_differences_of_energy_rows(builder):
    atoms, step = alloy(), 1e-4
    forces = builder.rows(atoms).forces
    for atom, axis in ((0, 2), (1, 0)):
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[atom, axis] += sign * step
            energies.append(builder.rows(moved).energy * len(atoms))
        difference = -(energies[0] - energies[1]) / (2 * step)
        np.testing.assert_allclose(forces[3 * atom + axis], difference, atol=1e-5 * np.abs(difference).max())


def test_stress_rows_are_finite_differences_of_energy_rows(builder):
    atoms, step = alloy(), 1e-3
    stress = builder.rows(atoms, stress=True).stress
    energies = []
    for sign in (1, -1):
        strained = atoms.copy()
        shear = np.eye(3)
        shear[0, 2] = shear[2, 0] = sign * step / 2
        strained.set_cell(atoms.cell.array @ shear, scale_atoms=True)
        energies.append(builder.rows(strained).energy * len(atoms))
    difference = (energies[0] - energies[1]) / (2 * step * atoms.get_volume())
    np.testing.assert_allclose(stress[4], difference, atol=1e-4 * np.abs(stress).max())


def test_mixed_pbc_and_left_handed_cells_are_taken(builder):
    slab = fcc111('Cu', (1, 1, 3), a=3.6, vacuum=8.0)
    slab.pbc = (True, True, False)
    full = slab.copy()
    full.pbc = True
    np.testing.assert_allclose(builder.rows(slab).forces, builder.rows(full).forces, atol=1e-8)
    left = alloy()
    left.set_cell(left.cell.array[[1, 0, 2]])
    np.testing.assert_allclose(
        builder.rows(left, stress=True).stress, builder.rows(alloy(), stress=True).stress, atol=1e-6
    )


def test_isolated_atom_has_zero_rows_and_no_complaint(builder):
    rows = builder.rows(Atoms('Cu'))
    assert not rows.energy.any()
    assert not rows.forces.any()


def test_unknown_element_is_named(builder):
    with pytest.raises(ValueError, match='no Ni; it knows Al, Cu'):
        builder.rows(bulk('Ni'))
