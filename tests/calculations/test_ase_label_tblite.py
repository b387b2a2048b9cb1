"""Labels by tblite through a job: the dipole arrives in the node."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from ase.build import molecule

from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.science.structure import Structure


def test_water_gets_a_label_with_a_dipole(run_job, store_structures):
    pytest.importorskip('tblite')
    calculator = {'type': 'tblite', 'method': 'GFN2-xTB'}
    frame = Structure(molecule('H2O'), provenance={'system': 'water'})
    periodic = frame.copy()
    periodic.atoms.center(vacuum=3.0)
    periodic.atoms.pbc = True
    slab = periodic.copy()
    slab.atoms.pbc = [True, True, False]
    node = run_job(
        'traincraft.ase_label',
        {'calculator': calculator, 'min_distance': 0.5},
        structures=store_structures([frame, periodic, slab]),
        level_of_theory=LevelOfTheoryData.get_or_create({'type': 'ase', 'calculator': calculator}),
    )
    assert node.is_finished_ok, node.exit_message
    assert 'tblite' in node.outputs.summary.get_dict()['versions']

    rows = node.outputs.ledger.rows
    assert [row.status for row in rows] == ['ok', 'ok', 'failed']
    assert 'make the cell periodic in all directions or in none' in rows[2].reason

    label = orm.load_node(rows[0].label)
    assert label.base.attributes.get('properties') == ['dipole', 'energy', 'forces']
    assert label.energy == pytest.approx(-137.968, abs=1e-3)
    dipole = label.get_structure().properties['dipole']
    # The hydrogens lie below the oxygen; 0.4 to 0.5 e·Å are 1.9 to 2.4 D.
    assert np.allclose(dipole[:2], 0, atol=1e-6)
    assert -0.5 < dipole[2] < -0.4
    assert orm.load_node(rows[1].label).base.attributes.get('properties') == ['energy', 'forces', 'stress']
