"""Validator ``raman``."""

import tomllib

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from springs import ForcesOnly, Springs

from aiida_traincraft.science import registry
from aiida_traincraft.science.calculators import make_calculator
from aiida_traincraft.science.calculators.tblite import TbliteConfig
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.geometry import build_geometries
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import Subject, check, compare, compute, examine, spectra
from aiida_traincraft.science.validation.raman import RamanConfig

SHORT = {'runs': 1, 'length': 0.6, 'equilibration': 0.2, 'window': 0.5, 'temperature': 300.0}


def configure(**keys):
    return RamanConfig(geometry={'builder': {'type': 'molecule', 'name': 'H2O'}}, **keys)


def pair(**keys):
    return Structure(Atoms('HF', [[0, 0, 0], [0.3, 0.5, 0.8]])), Springs({(0, 1): 0.95}, [0.0, 0.0], **keys)


@pytest.fixture(scope='module')
def tblite():
    pytest.importorskip('tblite')
    return make_calculator(TbliteConfig(accuracy=0.1, polarizability=True))


@pytest.mark.parametrize(
    ('along', 'across', 'ratio'),
    [
        (1.0, 1.0, 0.0),
        # Without a mean: a tensor of trace zero.
        (1.0, -0.5, 0.75),
        # a = 7/15, γ = 4/5.
        (1.0, 0.2, 3 * 0.64 / (45 * 49 / 225 + 4 * 0.64)),
    ],
)
def test_a_pair_on_a_spring_has_its_textbook_line(along, across, ratio):
    start, calculator = pair(along=along, across=across)
    findings, _ = examine(configure(**SHORT), Subject(calculator, start))
    mean, anisotropy = (along + 2 * across) / 3, along - across
    activity = (45 * mean**2 + 7 * anisotropy**2) * (1 / start.atoms.get_masses()).sum()
    assert findings.broken is None
    assert findings.values['total_activity'] == pytest.approx(activity, rel=1e-3)
    assert findings.values['strongest_depolarisation'] == pytest.approx(ratio, abs=1e-4)
    curve = {name: np.array(column) for name, column in findings.curves['spectrum'].items()}
    wavenumbers, isotropic, anisotropic, whole = curve.values()
    assert spectra.find_bands(wavenumbers, whole) == pytest.approx([findings.values['strongest_peak']], abs=1)
    assert isotropic + anisotropic == pytest.approx(whole)
    areas = [np.trapezoid(part, wavenumbers) for part in (isotropic, anisotropic)]
    assert sum(areas) == pytest.approx(activity, rel=0.05)
    a, g = areas[0] / 45, areas[1] / 7
    assert 3 * g / (45 * a + 4 * g) == pytest.approx(ratio, abs=0.01)


def test_water_has_the_ratios_of_its_symmetry(tblite):
    findings, _ = examine(configure(runs=0), Subject(tblite, Structure(molecule('H2O'))))
    bend, symmetric, asymmetric = findings.curves['harmonic']['depolarisation ratio']
    assert bend < 0.75
    assert symmetric < 0.3
    assert asymmetric == pytest.approx(0.75, abs=1e-6)
    assert findings.values['strongest_peak'] == pytest.approx(3643.4, abs=0.5)
    assert findings.values['strongest_depolarisation'] == symmetric


def test_modes_without_activity_have_no_ratio():
    start, calculator = pair(along=0.0, across=0.0)
    findings, _ = examine(configure(runs=0), Subject(calculator, start))
    assert findings.broken is None
    assert findings.values['total_activity'] == 0
    assert findings.values['strongest_depolarisation'] is None
    assert findings.curves['harmonic']['depolarisation ratio'] == [None]


@pytest.mark.slow
def test_water_in_motion_is_near_the_harmonic_lines(tblite):
    config = configure(runs=2, length=1.5, window=1.5, equilibration=0.5, interval=4)
    # A calculator that gives polarizabilities would calculate them at every step.
    forces = make_calculator(TbliteConfig(accuracy=0.1))
    findings, _ = examine(config, Subject(forces, Structure(molecule('H2O')), dielectric=tblite))
    curve = findings.curves['spectrum']
    bands = spectra.find_bands(*(np.array(curve[name]) for name in list(curve)[::3]))
    assert np.abs(bands - 1538.6).min() < 5
    assert np.abs(bands - 3643.4).min() < 20
    assert findings.values['peak_difference'] < 20


def test_errors_against_a_reference():
    start, mine = pair()
    config = configure(reference=True, runs=0, at_most={'activity_error': 0.1})
    findings, frames = examine(config, Subject(mine, start))
    found = compare(config, findings, frames, [compute(frame, pair(scale=1.1)[1]) for frame in frames])
    assert found.values['activity_error'] == pytest.approx(1 - 1 / 1.1**2, rel=1e-6)
    assert found.values['peak_error'] == pytest.approx(0, abs=1e-6)
    assert found.values['strongest_depolarisation_error'] == pytest.approx(0, abs=1e-6)
    assert not check(config, found)[0].passed


def test_without_polarizabilities_there_are_frequencies_only():
    start, _ = pair()
    findings, _ = examine(configure(**SHORT), Subject(ForcesOnly({(0, 1): 0.95}, [0.0, 0.0]), start))
    assert set(findings.values) == {'lowest_frequency'}
    assert findings.broken == 'the potential gives no polarizability'


def test_example(tblite):
    config = parse_plugin('validator', tomllib.loads(registry.get('validator', 'raman').example)['validator'])
    [start] = build_geometries(config.geometry, None, 0)
    findings, _ = examine(config, Subject(tblite, start))
    assert findings.broken is None
    assert set(findings.values) <= set(config.quantities)
    assert all(item.passed for item in check(config, findings))
