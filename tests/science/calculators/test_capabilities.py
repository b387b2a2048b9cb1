"""What calculators say that they can do, and what they then do."""

import numpy as np
import pytest
from ase.build import bulk, fcc111, molecule

from aiida_traincraft.science.calculators import (
    check_cell_sizes,
    check_properties,
    check_structures,
    make_calculator,
)
from aiida_traincraft.science.calculators.emt import EmtConfig
from aiida_traincraft.science.calculators.lennard_jones import LennardJonesConfig
from aiida_traincraft.science.calculators.tblite import TbliteConfig
from aiida_traincraft.science.config.kinds import CalculatorConfig
from aiida_traincraft.science.labelling.label import label
from aiida_traincraft.science.structure import Structure

ARGON = LennardJonesConfig(sigma=3.4, epsilon=0.01, rc=8.0)


def test_missing_properties_are_named():
    check_properties(EmtConfig(), ('energy', 'forces', 'stress'), periodic=True)
    check_properties(TbliteConfig(), ('dipole',), periodic=False)
    check_properties(TbliteConfig(polarizability=True), ('dipole', 'polarizability'), periodic=False)
    check_properties(CalculatorConfig(type='unknown'), ('polarizability',), periodic=True)
    with pytest.raises(ValueError, match=r"calculator 'emt' gives no dipole; it gives energy, forces, stress$"):
        check_properties(EmtConfig(), ('energy', 'dipole'), periodic=False)
    with pytest.raises(ValueError, match=r"'tblite' gives no polarizability; it gives dipole, energy"):
        check_properties(TbliteConfig(), ('polarizability',), periodic=False)
    with pytest.raises(ValueError, match=r"'tblite' gives no dipole of periodic structures; it gives energy, forces"):
        check_properties(TbliteConfig(), ('dipole',), periodic=True)


@pytest.mark.parametrize(
    ('config', 'atoms'),
    [
        (EmtConfig(), bulk('Cu')),
        (ARGON, bulk('Ar', 'fcc', a=5.3)),
        (TbliteConfig(polarizability=True), molecule('H2O')),
        (TbliteConfig(polarizability=True), bulk('Si', cubic=True)),
    ],
    ids=['emt', 'lennard_jones', 'molecule', 'crystal'],
)
def test_declared_properties_are_given(config, atoms):
    if config.type == 'tblite':
        pytest.importorskip('tblite')
    given = set(config.given_properties())
    if atoms.pbc.any():
        given &= config.periodic or given
    else:
        given -= {'stress'}
    properties = label(Structure(atoms), make_calculator(config), 0.5).properties
    assert set(properties) == given
    assert all(np.isfinite(value).all() for value in properties.values())


def test_structures():
    slab = fcc111('Cu', (1, 1, 3), vacuum=5.0)
    check_structures(EmtConfig(), [Structure(slab), Structure(molecule('CO'))])
    check_structures(TbliteConfig(), [Structure(bulk('Cu')), Structure(molecule('CO'))])
    with pytest.raises(ValueError, match=r'periodic in 2 directions \(Cu3\), only in 0 or 3: .*\"set_pbc\"'):
        check_structures(TbliteConfig(), [Structure(molecule('CO')), Structure(slab)])
    with pytest.raises(ValueError, match="'emt' does not know Fe"):
        check_structures(EmtConfig(), [Structure(bulk('Fe'))])
    wanted = ('energy', 'forces', 'dipole')
    check_structures(TbliteConfig(), [Structure(molecule('CO'))], wanted)
    with pytest.raises(ValueError, match='gives no dipole of periodic structures'):
        check_structures(TbliteConfig(), [Structure(molecule('CO')), Structure(bulk('Cu'))], wanted)


def test_cells_of_several_sizes_without_k_points():
    cells = [Structure(bulk('Si', cubic=True).repeat((n, 1, 1))) for n in (1, 2)]
    other = [Structure(molecule('H2O')), Structure(molecule('CO')), Structure(bulk('MgO', 'rocksalt', a=4.2))]
    check_cell_sizes(EmtConfig(), cells)
    check_cell_sizes(TbliteConfig(), [cells[0], cells[0], *other])
    with pytest.raises(ValueError, match='energies of periodic Si in cells of 8, 16 atoms do not compare'):
        check_cell_sizes(TbliteConfig(), [*cells, *other])
