"""Validator ``eos``."""

import tomllib

import numpy as np
import pytest
from ase import units
from ase.build import bulk, molecule
from ase.calculators.emt import EMT

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.science.geometry import build_geometries
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import Subject, check, compare, compute, examine, make_validator
from aiida_traincraft.science.validation.eos import EosConfig

GEOMETRY = {'builder': {'type': 'crystal', 'name': 'Cu'}}


class Lost(EMT):
    """EMT that knows no forces."""

    def calculate(self, *arguments, **keys):
        super().calculate(*arguments, **keys)
        self.results['forces'] = self.results['forces'] * np.nan
        self.results['stress'] = self.results['stress'] * np.nan


def look(atoms, calculator=None, **keys):
    config = EosConfig(geometry=GEOMETRY, **keys)
    return examine(config, Subject(calculator or EMT(), Structure(atoms), report=lambda line: None))


@pytest.mark.parametrize('cubic', [False, True])
def test_copper(cubic):
    findings, frames = look(bulk('Cu', cubic=cubic))
    assert findings.broken is None
    assert len(frames) == 9
    assert findings.values['lattice'] == pytest.approx(3.5898, abs=1e-4)
    assert findings.values['volume'] == pytest.approx(3.5898**3 / 4, rel=1e-4)
    assert findings.values['bulk_modulus'] == pytest.approx(134.4, abs=0.2)
    assert findings.values['bulk_modulus_derivative'] == pytest.approx(4.19, abs=0.05)
    assert findings.values['energy'] == pytest.approx(-0.00703, abs=1e-4)
    assert len(findings.curves['energies']['volume (Å³/atom)']) == 9
    assert min(findings.curves['fit']['energy (eV/atom)']) == pytest.approx(findings.values['energy'], abs=1e-4)


@pytest.mark.parametrize('equation', ['murnaghan', 'birch', 'vinet', 'pouriertarantola'])
def test_equations_agree(equation):
    findings, _ = look(bulk('Cu'), equation=equation, range=0.03)
    assert findings.values['bulk_modulus'] == pytest.approx(134.4, rel=0.01)
    assert findings.values['lattice'] == pytest.approx(3.5898, abs=5e-4)


def test_the_bulk_modulus_is_the_slope_of_the_pressure():
    found, _ = look(bulk('Cu'), n=5, range=0.02)
    pressures = []
    for factor in (0.999, 1.001):
        atoms = bulk('Cu', a=found.values['lattice'])
        atoms.set_cell(atoms.cell * factor ** (1 / 3), scale_atoms=True)
        atoms.calc = EMT()
        pressures.append(-atoms.get_stress()[:3].mean() / units.GPa)
    assert found.values['bulk_modulus'] == pytest.approx((pressures[0] - pressures[1]) / 0.002, rel=0.005)


def test_other_crystals_have_no_one_lattice_constant():
    findings, frames = look(bulk('Cu', 'hcp', a=2.5, c=4.2))
    assert findings.broken is None
    assert findings.values['lattice'] is None
    assert findings.values['bulk_modulus'] > 100
    # Relaxed at each volume: no shear stress is left, and no difference between the axes.
    stress = compute(frames[0], EMT()).properties['stress'] / units.GPa
    assert np.ptp(stress[:3]) < 0.1


def test_a_start_far_from_the_minimum_relaxes_first():
    findings, _ = look(bulk('Cu', a=3.8))
    assert findings.values['lattice'] == pytest.approx(3.5898, abs=1e-4)


def test_a_reference_with_its_minimum_elsewhere():
    config = EosConfig(geometry=GEOMETRY, reference=True, at_most={'lattice_error': 1e-6})
    findings, frames = examine(config, Subject(EMT(), Structure(bulk('Cu')), report=lambda line: None))
    same = compare(config, findings, frames, [compute(frame.bare(), EMT()) for frame in frames])
    assert same.values['lattice_error'] == pytest.approx(0, abs=1e-9)
    assert all(item.passed for item in check(config, same))
    shifted = [compute(frame.bare(), EMT()) for frame in frames]
    for frame in shifted:
        frame.properties['energy'] += 5 * frame.atoms.cell.volume
    other = compare(config, findings, frames, shifted)
    assert other.values['lattice_error'] is None
    assert other.values['lattice_reference'] is None
    assert 'reference: the energy has no minimum in the range of volumes: increase "range"' in other.notes
    assert not any(item.passed for item in check(config, other))


def test_a_potential_without_forces_is_broken():
    findings, _ = look(bulk('Cu'), Lost())
    assert findings.broken
    assert findings.values == {}


def test_a_relaxation_without_an_end_is_broken():
    findings, _ = look(bulk('Cu', a=3.8), steps=1)
    assert findings.broken == 'Cu does not relax to 0.001 eV/Å in 1 steps'


def test_a_cell_that_explodes_is_broken():
    findings, _ = look(bulk('Cu', a=2.4))
    assert findings.broken.startswith('the volume changes from 3.5 to ')


def test_molecules_are_refused():
    validator = make_validator(EosConfig(geometry=GEOMETRY))
    with pytest.raises(ValueError, match=r'"geometry": validator \'eos\' starts from a crystal, and H2O is not'):
        validator.check_start(Structure(molecule('H2O')))
    validator.check_start(Structure(bulk('Cu')))


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'n': 4}, r'validator\.n: .*greater than or equal to 5'),
        ({'range': 0.0}, r'validator\.range: .*greater than 0'),
        ({'equation': 'ideal_gas'}, r'validator\.equation'),
        ({'at_most': {'lattice_error': 0.1}}, 'lattice_error: a limit of a difference needs reference = true'),
    ],
)
def test_bad_values_are_refused(keys, message):
    with pytest.raises(ConfigError, match=message):
        parse_plugin('validator', {'type': 'eos', 'geometry': GEOMETRY} | keys)


def test_example():
    config = parse_plugin('validator', tomllib.loads(registry.get('validator', 'eos').example)['validator'])
    [start] = build_geometries(config.geometry, None, 0)
    lines = []
    findings, _ = examine(config, Subject(EMT(), start, report=lines.append))
    assert findings.broken is None
    assert set(findings.values) == set(config.quantities)
    assert all(item.passed for item in check(config, findings))
    assert lines == ['eos: the relaxed cell has the lengths 2.5384 2.5384 2.5384 Å']
