"""Calculator ``tblite``: what its labels mean, and what it refuses."""

import json
import sys

import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.fd import calculate_numerical_forces
from ase.units import Bohr

from aiida_traincraft.science.calculators import check_elements, make_calculator
from aiida_traincraft.science.calculators.tblite import TbliteConfig
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.science.labelling.label import label
from aiida_traincraft.science.structure import Structure, write_frames
from aiida_traincraft.science.worker.main import run_task


@pytest.fixture
def tblite():
    return pytest.importorskip('tblite')


@pytest.fixture
def calculator(tblite):
    return make_calculator(TbliteConfig())


class WithoutTblite:
    """Import hook of an environment in which tblite is not installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] == 'tblite':
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)


def water(box=0.0, pbc=False):
    atoms = molecule('H2O')
    atoms.rotate(50, (1, 2, 3))
    if box:
        atoms.set_cell([box] * 3)
        atoms.center()
        atoms.pbc = pbc
    return Structure(atoms)


def to_hydrogens(atoms):
    """Unit vector from the oxygen to the middle of the hydrogens."""
    vector = atoms.positions[1:].mean(axis=0) - atoms.positions[0]
    return vector / np.linalg.norm(vector)


def test_the_dipole_of_water_points_to_the_hydrogens(calculator):
    frame = water()
    dipole = label(frame, calculator, 0.5).properties['dipole']
    assert 0.4 < np.linalg.norm(dipole) < 0.5
    assert dipole == pytest.approx(np.linalg.norm(dipole) * to_hydrogens(frame.atoms), abs=1e-4)
    inverted = Structure(frame.atoms.copy())
    inverted.atoms.positions *= -1
    assert label(inverted, calculator, 0.5).properties['dipole'] == pytest.approx(-dipole, abs=1e-4)


def test_the_dipole_is_the_derivative_of_the_energy_with_respect_to_a_field(calculator):
    from tblite.interface import Calculator
    from tblite.library import ffi

    frame = water()
    step, energies = 1e-3, []
    for field in (step, -step):
        # Not through ASE: tblite 0.8 hands the library an array where it needs a pointer. All in atomic units.
        own = Calculator('GFN2-xTB', frame.atoms.numbers, frame.atoms.positions / Bohr)
        own.set('verbosity', 0)
        own.set('accuracy', 0.01)
        own.add('electric-field', ffi.new('double[3]', list(field * to_hydrogens(frame.atoms))))
        energies.append(own.singlepoint().get('energy'))
    dipole = label(frame, calculator, 0.5).properties['dipole']
    assert -(energies[0] - energies[1]) / (2 * step) * Bohr == pytest.approx(np.linalg.norm(dipole), abs=1e-4)


def test_the_polarizability_is_the_second_derivative_of_the_energy_with_respect_to_a_field(tblite):
    from tblite.interface import Calculator
    from tblite.library import ffi

    frame = water()
    found = label(frame, make_calculator(TbliteConfig(polarizability=True, accuracy=0.01)), 0.5)
    axis, step, energies = to_hydrogens(frame.atoms), 5e-3, []
    for field in (step, 0.0, -step):
        own = Calculator('GFN2-xTB', frame.atoms.numbers, frame.atoms.positions / Bohr)
        own.set('verbosity', 0)
        own.set('accuracy', 0.001)
        own.add('electric-field', ffi.new('double[3]', list(field * axis)))
        energies.append(own.singlepoint().get('energy'))
    curvature = -(energies[0] - 2 * energies[1] + energies[2]) / step**2 * Bohr**3
    assert axis @ found.properties['polarizability'] @ axis == pytest.approx(curvature, rel=1e-3)
    assert curvature == pytest.approx(0.333, abs=0.001)


def test_the_polarizability_turns_with_the_molecule(tblite):
    calculator = make_calculator(TbliteConfig(polarizability=True))
    upright, turned = Structure(molecule('H2O')), water()
    first, second = (label(frame, calculator, 0.5).properties['polarizability'] for frame in (upright, turned))
    rotation = np.linalg.lstsq(
        upright.atoms.positions - upright.atoms.positions[0], turned.atoms.positions - turned.atoms.positions[0]
    )[0]
    # The plane of the molecule: its normal is not in the span of the positions.
    normals = [np.cross(*(atoms.positions[1:] - atoms.positions[0])) for atoms in (upright.atoms, turned.atoms)]
    rotation += np.outer(normals[0], normals[1]) / (normals[0] @ normals[0])
    assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-9)
    assert second == pytest.approx(rotation.T @ first @ rotation, abs=1e-4)
    assert second == pytest.approx(second.T)
    assert np.abs(second - np.diag(np.diag(second))).max() > 0.05


def test_no_polarizability_unless_asked_for_or_of_a_periodic_cell(calculator):
    assert 'polarizability' not in label(water(), calculator, 0.5).properties
    asked = make_calculator(TbliteConfig(polarizability=True))
    assert label(water(), asked, 0.5).properties['polarizability'].shape == (3, 3)
    assert 'polarizability' not in label(water(box=8.0, pbc=True), asked, 0.5).properties


def test_forces_are_the_derivative_of_the_energy_also_of_hot_electrons(tblite):
    atoms = molecule('N2')
    atoms.set_distance(0, 1, 1.6)
    atoms.calc = make_calculator(TbliteConfig(electronic_temperature=8000.0, accuracy=0.01))
    forces = atoms.get_forces()
    assert np.abs(forces).max() > 5
    assert forces == pytest.approx(calculate_numerical_forces(atoms, eps=1e-3), abs=1e-4)


def test_a_label_does_not_depend_on_what_was_calculated_before(calculator):
    first, other = water(), water()
    other.atoms.positions *= 1.1
    alone = label(first, calculator, 0.5)
    label(other, calculator, 0.5)
    again = label(first, calculator, 0.5)
    for name in ('energy', 'forces', 'dipole'):
        assert np.array_equal(again.properties[name], alone.properties[name])


def test_a_periodic_cell_has_a_stress_but_no_dipole(calculator):
    # The molecule is first: its dipole must not stay behind.
    molecular = label(water(), calculator, 0.5)
    periodic = label(water(box=8.0, pbc=True), calculator, 0.5)
    assert set(molecular.properties) == {'energy', 'forces', 'dipole'}
    assert set(periodic.properties) == {'energy', 'forces', 'stress'}
    assert periodic.properties['energy'] == pytest.approx(molecular.properties['energy'], abs=0.01)
    assert 'dipole' in label(water(box=8.0), calculator, 0.5).properties


def test_periodicity_in_some_directions_is_refused(calculator):
    frame = water(box=8.0, pbc=[True, True, False])
    with pytest.raises(ValueError, match=r'tblite cannot do pbc \[True, True, False\]: make the cell periodic in all'):
        label(frame, calculator, 0.5)


def test_parameters_reach_tblite(tblite):
    def energy(**keys):
        return label(water(), make_calculator(TbliteConfig(**keys)), 0.5).properties['energy']

    neutral = energy()
    assert neutral == pytest.approx(-137.968, abs=1e-3)
    assert energy(method='GFN1-xTB') == pytest.approx(-156.968, abs=1e-3)
    assert energy(charge=1) > neutral + 10
    assert energy(electronic_temperature=20000.0) < neutral - 0.01
    with pytest.raises(Exception, match='SCF not converged in 1 cycles'):
        energy(max_iterations=1)


def test_config():
    assert TbliteConfig().method == 'GFN2-xTB'
    check_elements(TbliteConfig(), ['H', 'Rn'])
    with pytest.raises(ValueError, match="calculator 'tblite' does not know U"):
        check_elements(TbliteConfig(), ['H', 'U'])
    with pytest.raises(ConfigError, match=r'calculator\.method: .*GFN1-xTB.*GFN2-xTB'):
        parse_plugin('calculator', {'type': 'tblite', 'method': 'GFN0-xTB'})
    with pytest.raises(ConfigError, match=r'calculator\.accuracy: .*greater than 0'):
        parse_plugin('calculator', {'type': 'tblite', 'accuracy': 0.0})


def test_without_the_package(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition('.')[0] == 'tblite']:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, 'meta_path', [WithoutTblite(), *sys.meta_path])
    write_frames(tmp_path / 'structures.frames', [water()])
    parameters = {'calculator': {'type': 'tblite'}, 'min_distance': 0.5}
    (tmp_path / 'task.json').write_text(json.dumps({'task': 'label', 'parameters': parameters}))
    result = run_task(tmp_path)
    assert result['kind'] == 'missing_package'
    assert result['message'].startswith('calculator "tblite" needs tblite, which is not installed: pip install')
