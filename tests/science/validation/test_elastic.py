"""Validator ``elastic``."""

import tomllib
import warnings

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.science.geometry import build_geometries
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import Subject, check, compare, compute, examine, make_validator
from aiida_traincraft.science.validation.elastic import CONSTANTS, ElasticConfig

GEOMETRY = {'builder': {'type': 'crystal', 'name': 'Cu'}}


def look(atoms, calculator=None, **keys):
    config = ElasticConfig(geometry=GEOMETRY, **keys)
    return examine(config, Subject(calculator or EMT(), Structure(atoms), report=lambda line: None))


@pytest.mark.parametrize('cubic', [False, True])
def test_copper(cubic):
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        findings, frames = look(bulk('Cu', cubic=cubic))
    assert findings.broken is None
    assert len(frames) == 24
    values = findings.values
    for names, known in (('c11 c22 c33', 172.6), ('c12 c13 c23', 115.5), ('c44 c55 c66', 90.1)):
        assert [values[name] for name in names.split()] == pytest.approx([known] * 3, abs=0.3)
    # Cubic: the averages and the smallest eigenvalue follow from three constants.
    c11, c12, c44 = values['c11'], values['c12'], values['c44']
    assert values['bulk_modulus'] == pytest.approx((c11 + 2 * c12) / 3, rel=1e-4)
    assert values['born_eigenvalue'] == pytest.approx(c11 - c12, rel=1e-4)
    voigt = (c11 - c12 + 3 * c44) / 5
    reuss = 5 * (c11 - c12) * c44 / (4 * c44 + 3 * (c11 - c12))
    assert values['shear_modulus'] == pytest.approx((voigt + reuss) / 2, rel=1e-4)
    matrix = np.array([findings.curves['matrix'][f'c{i} (GPa)'] for i in range(1, 7)])
    assert matrix == pytest.approx(matrix.T)
    assert findings.notes == []


def test_a_hexagonal_crystal_is_isotropic_in_its_plane():
    findings, _ = look(bulk('Cu', 'hcp', a=2.54, c=4.15))
    values = findings.values
    assert values['c11'] == pytest.approx(values['c22'], rel=0.01)
    assert values['c66'] == pytest.approx((values['c11'] - values['c12']) / 2, rel=0.02)
    assert values['c33'] > values['c11']
    clamped, _ = look(bulk('Cu', 'hcp', a=2.54, c=4.15), relax_ions=False)
    # Two atoms in the cell move against each other: relaxed, it is softer.
    assert clamped.values['c66'] > values['c66'] + 1


def test_the_axes_are_those_of_the_structure():
    turned = bulk('Cu', cubic=True)
    turned.rotate(45, 'z', rotate_cell=True)
    findings, straight = look(turned), look(bulk('Cu', cubic=True))
    c11, c12, c44 = (straight[0].values[name] for name in ('c11', 'c12', 'c44'))
    assert findings[0].values['c11'] == pytest.approx((c11 + c12) / 2 + c44, abs=0.3)
    assert findings[0].values['bulk_modulus'] == pytest.approx(straight[0].values['bulk_modulus'], rel=1e-3)


def test_a_crystal_that_shears_by_itself_is_not_born_stable():
    # bcc copper of EMT is a saddle point: the cubic cell alone does not leave it.
    findings, _ = look(bulk('Cu', 'bcc', a=2.85, cubic=True), relax_ions=False)
    assert findings.broken is None
    assert findings.values['born_eigenvalue'] < 0
    assert findings.notes == ['not Born stable: a strain lowers the energy']
    config = ElasticConfig(geometry=GEOMETRY, at_least={'born_eigenvalue': 0.0})
    assert not check(config, findings)[0].passed


def test_a_stiffer_reference():
    config = ElasticConfig(geometry=GEOMETRY, reference=True, at_most={'c11_error': 1.0})
    findings, frames = examine(config, Subject(EMT(), Structure(bulk('Cu')), report=lambda line: None))
    reference = [compute(frame.bare(), EMT()) for frame in frames]
    for frame in reference:
        # The pressure that a reference has at the potential's cell is no part of its constants.
        frame.properties['stress'] = 1.1 * frame.properties['stress'] + np.array([0.01, 0.01, 0.01, 0, 0, 0])
    found = compare(config, findings, frames, reference)
    for name in CONSTANTS:
        assert found.values[f'{name}_reference'] == pytest.approx(1.1 * findings.values[name], rel=1e-3)
    assert found.values['c11_error'] == pytest.approx(-0.1 * findings.values['c11'], rel=1e-3)
    assert not check(config, found)[0].passed


def test_a_potential_that_gives_no_stress_is_broken():
    class Stressless(Calculator):
        """Energy and forces only."""

        implemented_properties = ('energy', 'forces')

        def calculate(self, atoms=None, properties=(), system_changes=()):
            super().calculate(atoms, properties, system_changes)
            self.results = {'energy': 0.0, 'forces': np.zeros((len(atoms), 3))}

    findings, _ = look(bulk('Cu'), Stressless())
    assert findings.broken
    assert findings.values == {}


def test_molecules_are_refused():
    validator = make_validator(ElasticConfig(geometry=GEOMETRY))
    with pytest.raises(ValueError, match=r'"geometry": validator \'elastic\' starts from a crystal'):
        validator.check_start(Structure(molecule('H2O')))


@pytest.mark.parametrize('strain', [0.0, 0.2, -0.01])
def test_bad_strains_are_refused(strain):
    with pytest.raises(ConfigError, match=r'validator\.strain'):
        parse_plugin('validator', {'type': 'elastic', 'geometry': GEOMETRY, 'strain': strain})


def test_example():
    config = parse_plugin('validator', tomllib.loads(registry.get('validator', 'elastic').example)['validator'])
    [start] = build_geometries(config.geometry, None, 0)
    findings, _ = examine(config, Subject(EMT(), start, report=lambda line: None))
    assert findings.broken is None
    assert set(findings.values) == set(config.quantities)
    assert all(item.passed for item in check(config, findings))
