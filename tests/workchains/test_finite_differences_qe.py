"""Forces and stress of labels by pw.x are the derivatives of their energies: unit, sign, order and free energy."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from ase import Atoms
from ase.build import bulk
from ase.units import GPa

from aiida_traincraft.science.structure import Structure

pytestmark = pytest.mark.long

DISPLACEMENT = 0.01
"""Å."""
STRAIN = 0.005
COMPONENTS = ((0, 0), (1, 2))
"""Atom and direction of the forces that are compared."""
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
SHEAR = np.array([[0.01, 0.008, -0.005], [0.0, -0.008, 0.015], [0.0, 0.0, 0.005]])
# Fixed, since a mesh of points in real space that follows the cell would put steps into the energy.
GRIDS = {'Si2': (40, 40, 40), 'Al2': (60, 30, 30)}
ATOMS = {'Si2': bulk('Si', 'diamond', a=5.43), 'Al2': bulk('Al', 'fcc', a=4.05).repeat((2, 1, 1))}
# Few k-points: silicon keeps its gap at the Gamma point, and a wide smearing makes up for them in aluminium.
KEYS = {
    'Si2': {'smearing': 'none', 'kpoints_distance': 2.5, 'ecutwfc': 60.0, 'ecutrho': 240.0},
    'Al2': {'smearing': 'cold', 'degauss': 0.06, 'kpoints_distance': 1.1, 'ecutwfc': 45.0, 'ecutrho': 180.0},
}


def displaced(atoms: Atoms, atom: int, axis: int, step: float) -> Atoms:
    moved = atoms.copy()
    moved.positions[atom, axis] += step
    return moved


def strained(atoms: Atoms, row: int, column: int, step: float) -> Atoms:
    strain = np.eye(3)
    strain[row, column] += step / 2
    strain[column, row] += step / 2
    moved = atoms.copy()
    moved.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    return moved


@pytest.mark.parametrize('case', ['Si2', 'Al2'])
def test_forces_and_stress_are_derivatives_of_the_energy(label_by_pw, pw_code, case):
    atoms = ATOMS[case].copy()
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + SHEAR), scale_atoms=True)
    atoms.rattle(0.04, seed=3)
    frames = [atoms]
    frames += [displaced(atoms, *place, sign * DISPLACEMENT) for place in COMPONENTS for sign in (1, -1)]
    frames += [strained(atoms, *place, sign * STRAIN) for place in VOIGT for sign in (1, -1)]
    node = label_by_pw(
        pw_code,
        [Structure(frame) for frame in frames],
        conv_thr_per_atom=1e-12,
        parameters={'SYSTEM': dict(zip(('nr1', 'nr2', 'nr3'), GRIDS[case], strict=True))},
        batch_size=len(frames),
        concurrent=2,
        **KEYS[case],
    )
    assert node.outputs.ledger.counts['ok'] == len(frames), node.outputs.ledger.reasons
    labels = [orm.load_node(uuid) for uuid in node.outputs.manifest.uuids]
    assert len({tuple(label.base.attributes.get('kpoints')) for label in labels}) == 1
    energies = np.array([label.energy for label in labels])
    differences = energies[1::2] - energies[2::2]
    properties = labels[0].get_structure().properties

    forces = -differences[: len(COMPONENTS)] / (2 * DISPLACEMENT)
    found = np.array([properties['forces'][atom, axis] for atom, axis in COMPONENTS])
    stress = differences[len(COMPONENTS) :] / (2 * STRAIN * atoms.get_volume())
    # Large enough to tell signs and components from one another.
    assert np.abs(found).max() > 0.1
    assert np.ptp(properties['stress'] / GPa) > 2.0
    np.testing.assert_allclose(properties['stress'] / GPa, stress / GPa, atol=0.1)
    np.testing.assert_allclose(found, forces, atol=1e-3)
