"""Validator ``compression``."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT

from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import Subject, check, examine
from aiida_traincraft.science.validation.compression import CompressionConfig, find_holes

GEOMETRY = {'builder': {'type': 'crystal', 'name': 'Cu'}}


class Hollow(Calculator):
    """EMT with a Gaussian well in the volume per atom, of a depth (eV/atom) at 8 Å³, and in the distance of a pair."""

    implemented_properties = ('energy',)

    def __init__(self, depth):
        super().__init__()
        self.depth = depth

    def calculate(self, atoms=None, properties=('energy',), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        copy = atoms.copy()
        copy.calc = EMT()
        energy = copy.get_potential_energy()
        if atoms.pbc.all():
            energy -= self.depth * len(atoms) * np.exp(-((atoms.get_volume() / len(atoms) - 6.0) ** 2))
        elif len(atoms) == 2:
            energy -= self.depth * np.exp(-(((atoms.get_distance(0, 1) - 1.4) / 0.2) ** 2))
        self.results = {'energy': energy}


def configure(**keys):
    return CompressionConfig(geometry=GEOMETRY, **keys)


def test_emt_repels_to_the_end():
    findings, frames = examine(configure(), Subject(EMT(), Structure(bulk('Cu', a=3.61))))
    assert findings.broken is None
    assert findings.values == {'fall': 0.0, 'tension': 0.0, 'pair_fall': 0.0}
    assert findings.notes == []
    crystals = [frame.atoms for frame in frames if 'scale' in frame.provenance]
    nearest = [atoms.cell.lengths().min() for atoms in crystals]
    # Half the sum of the covalent radii of copper, 1.32 Å each.
    assert (nearest[0], nearest[-1]) == pytest.approx((3.61 / np.sqrt(2), 1.32))
    pairs = [frame.atoms.get_distance(0, 1) for frame in frames if 'pair' in frame.provenance]
    assert (pairs[0], pairs[-1]) == pytest.approx((6.0, 0.2))


def test_pressure_is_that_of_the_stress():
    findings, frames = examine(configure(), Subject(EMT(), Structure(bulk('Cu', a=3.61))))
    curve = findings.curves['compression']
    middle = len(curve['scale']) // 2
    stresses = []
    for frame in frames[middle - 1 : middle + 1]:
        atoms = frame.bare().atoms
        atoms.calc = EMT()
        stresses.append(-atoms.get_stress()[:3].mean() / units.GPa)
    assert curve['pressure (GPa)'][middle] == pytest.approx(np.mean(stresses), rel=0.02)


def test_a_hole_is_found_with_its_depth():
    crystal = bulk('Cu', a=3.61, cubic=True)
    config = configure(at_most={'fall': 0.01})
    findings, _ = examine(config, Subject(Hollow(60.0), Structure(crystal)))
    volumes = np.linspace(crystal.get_volume() / 4, 2.5, 2000)
    energies = []
    for volume in volumes:
        atoms = crystal.copy()
        atoms.set_cell(crystal.cell * (4.0 * volume / crystal.get_volume()) ** (1 / 3), scale_atoms=True)
        atoms.calc = Hollow(60.0)
        energies.append(atoms.get_potential_energy() / 4)
    energies = np.array(energies)
    bottom = int(energies.argmin())
    assert findings.values['fall'] == pytest.approx(energies[:bottom].max() - energies[bottom], rel=0.05)
    assert findings.values['tension'] > 100.0
    assert findings.values['pair_fall'] > 10.0
    assert [note.split(' ')[0] for note in findings.notes] == ['Cu4', 'Cu4', 'Cu-Cu']
    assert [entry.passed for entry in check(config, findings)] == [False]
    found = Structure(crystal, {}, {'system': 'bulk'})
    assert find_holes([found, found], Hollow(60.0)) == findings.notes
    assert find_holes([found], EMT()) == []


def test_without_neighbours_only_pairs_are_asked():
    findings, _ = examine(configure(), Subject(EMT(), Structure(Atoms('Cu'))))
    assert findings.values == {'fall': None, 'tension': None, 'pair_fall': 0.0}


def test_a_molecule_has_no_pressure():
    findings, _ = examine(configure(), Subject(EMT(), Structure(Atoms('Cu2', [[0, 0, 0], [2.3, 0, 0]]))))
    assert findings.values == {'fall': 0.0, 'tension': None, 'pair_fall': 0.0}
