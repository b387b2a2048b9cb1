"""Validator ``vacancy``."""

import tomllib

import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.science.geometry import build_geometries
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import Subject, check, compare, compute, examine, make_validator
from aiida_traincraft.science.validation.vacancy import VacancyEnergyConfig

GEOMETRY = {'builder': {'type': 'crystal', 'name': 'Cu'}}


def look(atoms, **keys):
    config = VacancyEnergyConfig(geometry=GEOMETRY, **keys)
    return examine(config, Subject(EMT(), Structure(atoms), report=lambda line: None))


@pytest.fixture
def ordered():
    """Cu3Au, L1_2: gold first."""
    return bulk('Cu', a=3.75, cubic=True)[[0, 1, 2, 3]].copy()


def test_copper():
    fixed, frames = look(bulk('Cu', cubic=True), repeat=(3, 3, 3), relax=False)
    assert [len(frame) for frame in frames] == [108, 107]
    assert fixed.values['formation_energy'] == pytest.approx(1.238, abs=0.001)
    relaxed, _ = look(bulk('Cu', cubic=True), repeat=(3, 3, 3))
    assert relaxed.values['formation_energy'] == pytest.approx(1.224, abs=0.001)


def test_the_supercell_is_as_wide_as_asked():
    _, frames = look(bulk('Cu', cubic=True), target_length=7.0)
    assert len(frames[0]) == 4 * 2**3
    _, frames = look(bulk('Cu', cubic=True), target_length=7.3)
    assert len(frames[0]) == 4 * 3**3


def test_the_element_that_is_taken_out(ordered):
    ordered.symbols[0] = 'Au'
    keys = {'chemical_potential': 0.1, 'repeat': (2, 2, 2), 'relax': False}
    gold, frames = look(ordered, element='Au', **keys)
    assert frames[1].formula == 'Au7Cu24'
    copper, frames = look(ordered, element='Cu', **keys)
    assert frames[1].formula == 'Au8Cu23'
    by_index, _ = look(ordered, index=2, **keys)
    assert by_index.values['formation_energy'] == pytest.approx(copper.values['formation_energy'], abs=1e-4)
    assert gold.values['formation_energy'] != pytest.approx(copper.values['formation_energy'], abs=0.01)
    perfect, defective = frames
    expected = defective.properties['energy'] - perfect.properties['energy'] + 0.1
    assert copper.values['formation_energy'] == pytest.approx(expected)


def test_the_chemical_potential_shifts_the_energy():
    keys = {'repeat': (2, 2, 2), 'relax': False}
    own, frames = look(bulk('Cu', cubic=True), **keys)
    per_atom = frames[0].properties['energy'] / len(frames[0])
    given, _ = look(bulk('Cu', cubic=True), chemical_potential=per_atom + 0.5, **keys)
    assert given.values['formation_energy'] - own.values['formation_energy'] == pytest.approx(0.5)


def test_the_zero_of_a_reference_does_not_matter():
    config = VacancyEnergyConfig(
        geometry=GEOMETRY, reference=True, target_length=7.0, at_most={'formation_energy_error': 0.01}
    )
    findings, frames = examine(config, Subject(EMT(), Structure(bulk('Cu', cubic=True)), report=lambda line: None))
    reference = [compute(frame.bare(), EMT()) for frame in frames]
    for frame in reference:
        frame.properties['energy'] -= 4000.0 * len(frame)
    found = compare(config, findings, frames, reference)
    assert found.values['formation_energy_error'] == pytest.approx(0, abs=1e-6)
    assert all(item.passed for item in check(config, found))


def refuse(start, message, **keys):
    validator = make_validator(VacancyEnergyConfig(geometry=GEOMETRY, **keys))
    with pytest.raises(ValueError, match=message):
        validator.check_start(Structure(start))


def test_unusable_starts_are_refused(ordered):
    refuse(molecule('H2O'), '"geometry": validator \'vacancy\' starts from a crystal')
    refuse(bulk('Cu'), '"element": there is no Au in Cu', element='Au')
    refuse(bulk('Cu'), r'"index" 1 is none of the 1 atoms of Cu \(from 0\)', index=1)
    refuse(bulk('Cu'), '"repeat" leaves a single atom', repeat=(1, 1, 1))
    refuse(bulk('Cu'), '"repeat" asks for 1e[+]06 atoms', repeat=(100, 100, 100))
    refuse(bulk('Cu'), '"target_length" asks for', target_length=1e4)
    ordered.symbols[0] = 'Au'
    refuse(ordered, '"chemical_potential" is needed: AuCu3 has several elements')


def test_a_potential_that_does_not_know_an_element_is_broken():
    iron = Atoms('Fe', cell=[2.8] * 3, pbc=True)
    findings, _ = look(iron, repeat=(2, 2, 2))
    assert 'NotImplementedError' in findings.broken


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'element': 'Xx'}, r'validator\.element'),
        ({'element': 'Cu', 'index': 1}, 'give only one of "element" and "index"'),
        ({'repeat': [0, 1, 1]}, r'validator\.repeat'),
        ({'target_length': -1.0}, r'validator\.target_length'),
    ],
)
def test_bad_values_are_refused(keys, message):
    with pytest.raises(ConfigError, match=message):
        parse_plugin('validator', {'type': 'vacancy', 'geometry': GEOMETRY} | keys)


def test_example():
    config = parse_plugin('validator', tomllib.loads(registry.get('validator', 'vacancy').example)['validator'])
    [start] = build_geometries(config.geometry, None, 0)
    findings, _ = examine(config, Subject(EMT(), start, report=lambda line: None))
    assert findings.broken is None
    assert set(findings.values) == set(config.quantities)
    assert all(item.passed for item in check(config, findings))
