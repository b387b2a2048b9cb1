"""Validator ``infrared``."""

import tomllib

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.optimize import BFGS
from ase.vibrations import Infrared as AseInfrared
from springs import ForcesOnly, Springs

from aiida_traincraft.science import registry
from aiida_traincraft.science.calculators import make_calculator
from aiida_traincraft.science.calculators.tblite import TbliteConfig
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.science.geometry import build_geometries
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import Subject, check, compare, compute, examine, make_validator, spectra
from aiida_traincraft.science.validation.infrared import InfraredConfig

GEOMETRY = {'builder': {'type': 'molecule', 'name': 'H2O'}}
SHORT = {'runs': 1, 'length': 0.6, 'equilibration': 0.2, 'window': 0.5, 'temperature': 300.0}


def configure(**keys):
    return InfraredConfig(geometry=GEOMETRY, **keys)


def diatomic(**keys):
    return Springs({(0, 1): 0.95}, [0.3, -0.3], **keys)


def triangle(**keys):
    """Three springs between atoms of three masses: three modes, all of them visible."""
    return Springs({(0, 1): 1.0, (0, 2): 1.1, (1, 2): 1.6}, [-0.5, 0.3, 0.2], **keys)


@pytest.fixture
def pair():
    return Structure(Atoms('HF', [[0, 0, 0], [0.3, 0.5, 0.8]]))


@pytest.fixture
def bent():
    return Structure(Atoms('OHF', [[0, 0, 0], [1, 0.1, 0], [-0.2, 1.1, 0.1]]))


@pytest.fixture(scope='module')
def tblite():
    pytest.importorskip('tblite')
    return make_calculator(TbliteConfig(accuracy=0.1))


def test_a_pair_on_a_spring_has_its_textbook_line(pair):
    mass = 1 / (1 / pair.atoms.get_masses()).sum()
    findings, frames = examine(configure(**SHORT), Subject(diatomic(), pair))
    assert findings.broken is None
    assert len(frames) == 1 + 6 * 2
    wavenumber = np.sqrt(30.0 / mass) * units.fs / (2 * np.pi * spectra.LIGHT)
    intensity = spectra.KM_PER_MOL * 0.3**2 / mass
    assert findings.values['strongest_peak'] == pytest.approx(wavenumber, rel=1e-4)
    assert findings.values['lowest_frequency'] == findings.values['strongest_peak']
    assert findings.values['total_intensity'] == pytest.approx(intensity, rel=1e-4)
    assert findings.curves['harmonic']['intensity (km/mol)'] == pytest.approx([intensity], rel=1e-4)
    # The area is independent of how hot this one mode happened to be.
    found = np.array(findings.curves['spectrum']['wavenumber (cm⁻¹)'])
    absorption = np.array(findings.curves['spectrum']['absorption (km/mol per cm⁻¹)'])
    assert spectra.find_bands(found, absorption) == pytest.approx([wavenumber], abs=1)
    assert np.trapezoid(absorption, found) == pytest.approx(intensity, rel=0.05)
    assert findings.values['peak_difference'] < 1
    assert abs(findings.values['energy_drift']) < 0.1


def test_harmonic_lines_are_those_of_ase(tblite, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    findings, _ = examine(configure(runs=0), Subject(tblite, Structure(molecule('H2O'))))
    atoms = molecule('H2O')
    atoms.calc = tblite
    BFGS(atoms, logfile=None).run(fmax=0.001)
    theirs = AseInfrared(atoms)
    theirs.run()
    frequencies = theirs.get_frequencies().real[6:]
    curve = findings.curves['harmonic']
    assert curve['wavenumber (cm⁻¹)'] == pytest.approx(frequencies, abs=0.5)
    intensities = theirs.intensities[6:] * theirs.intensity_prefactor('km/mol')[0]
    assert curve['intensity (km/mol)'] == pytest.approx(intensities, rel=0.01, abs=0.1)
    assert findings.values['strongest_peak'] == pytest.approx(1538.6, abs=0.5)
    assert 'spectrum' not in findings.curves
    assert 'peak_difference' not in findings.values


@pytest.mark.slow
def test_water_in_motion_is_near_the_harmonic_lines(tblite):
    config = configure(runs=2, length=2.0, equilibration=0.5)
    findings, _ = examine(config, Subject(tblite, Structure(molecule('H2O'))))
    curve = findings.curves['spectrum']
    bands = spectra.find_bands(*(np.array(column) for column in curve.values()))
    assert np.abs(bands - 1538.6).min() < 5
    assert np.abs(bands - 3651.6).min() < 20
    assert findings.values['peak_difference'] < 20
    assert abs(findings.values['energy_drift']) < 0.01


def test_a_saddle_point_has_imaginary_modes(tblite):
    line = Structure(Atoms('OH2', [[0, 0, 0], [0, 0, 0.95], [0, 0, -0.95]]))
    findings, _ = examine(configure(runs=0), Subject(tblite, line))
    assert len(findings.curves['harmonic']['wavenumber (cm⁻¹)']) == 4
    assert findings.values['lowest_frequency'] < -1000
    assert findings.notes == ['2 imaginary modes: the relaxed start is no minimum of the energy']
    assert findings.broken is None


def test_the_dipole_of_a_cell_may_jump():
    atoms = bulk('Cu', cubic=True)
    atoms.symbols[:2] = 'Au'
    start = Structure(atoms)

    class Charged(EMT):
        """EMT with the dipole of fixed charges, reduced to the cell or not."""

        implemented_properties = (*EMT.implemented_properties, 'dipole')
        wrapped = True

        def calculate(self, atoms=None, properties=('energy',), system_changes=()):
            super().calculate(atoms, ['energy'], system_changes)
            dipole = np.array([1, 1, -1, -1]) @ self.atoms.positions
            if self.wrapped:
                dipole %= np.diag(self.atoms.cell.array)
            self.results['dipole'] = dipole

    class Continuous(Charged):
        wrapped = False

    keys = SHORT | {'timestep': 2.0, 'interval': 1, 'length': 0.4, 'window': 0.4}
    (jumping, frames), (smooth, _) = (
        examine(configure(**keys), Subject(kind(), start)) for kind in (Charged, Continuous)
    )
    assert jumping.broken is None
    dipoles = np.array([frame.properties['dipole'] for frame in frames])
    # That of the start is zero, so that every other displacement crosses to the far side of the cell.
    assert np.ptp(dipoles, axis=0).max() > 3
    assert len(jumping.curves['harmonic']['wavenumber (cm⁻¹)']) == 3 * 4 - 3
    assert jumping.values == pytest.approx(smooth.values)
    for name in ('harmonic', 'spectrum'):
        for column in smooth.curves[name]:
            assert jumping.curves[name][column] == pytest.approx(smooth.curves[name][column], abs=1e-6)


def test_the_same_seed_gives_the_same_spectrum(pair):
    keys = SHORT | {'length': 0.1, 'window': 0.1}

    def spectrum(seed):
        findings, _ = examine(configure(**keys), Subject(diatomic(), pair, rng=np.random.default_rng(seed)))
        return findings.curves['spectrum']

    assert spectrum(1) == spectrum(1) != spectrum(2)


def test_a_second_model_gives_the_dipoles(pair):
    keys = SHORT | {'length': 0.1, 'window': 0.1}
    alone, _ = examine(configure(**keys), Subject(diatomic(), pair))
    forces = ForcesOnly({(0, 1): 0.95}, [0.3, -0.3])
    beside, _ = examine(configure(**keys), Subject(forces, pair, dielectric=diatomic()))
    assert beside.values == alone.values
    without, _ = examine(configure(**keys), Subject(forces, pair))
    assert without.values == {'lowest_frequency': alone.values['lowest_frequency']}
    assert without.notes == ['no dipole: no intensities']
    assert without.broken == 'the potential gives no dipole'


def test_errors_against_a_reference(bent):
    config = configure(
        reference=True, runs=0, at_most={'peak_error': 1.0, 'strongest_peak_error': 1.0, 'intensity_error': 0.5}
    )
    mine, teacher = triangle(), triangle(stiffness=30.0 * 1.01**2, scale=1.1)
    findings, frames = examine(config, Subject(mine, bent))
    bare = [frame.bare() for frame in frames]

    same = compare(config, findings, frames, [compute(frame, mine) for frame in bare])
    assert same.values['peak_error'] == pytest.approx(0, abs=1e-6)
    assert same.values['intensity_error'] == pytest.approx(0, abs=1e-6)
    assert all(item.passed for item in check(config, same))

    other = compare(config, findings, frames, [compute(frame, teacher) for frame in bare])
    highest = max(other.curves['harmonic_reference']['wavenumber (cm⁻¹)'])
    assert other.values['peak_error'] == pytest.approx(highest * 0.01 / 1.01, rel=1e-3)
    assert other.values['intensity_error'] == pytest.approx(1 - 1 / 1.1**2, rel=1e-3)
    assert other.values['total_intensity_error'] < 0
    assert {item.quantity: item.passed for item in check(config, other)} == {
        'peak_error': False,
        'strongest_peak_error': False,
        'intensity_error': True,
    }

    blind = compare(
        config, findings, frames, [compute(frame, ForcesOnly(mine.lengths, mine.charges)) for frame in bare]
    )
    assert (blind.values['peak_error'], blind.values['intensity_error']) == (None, None)
    assert 'reference: no dipole: no intensities' in blind.notes


def test_modes_in_another_order_are_matched_by_their_shape():
    class Uneven(Springs):
        """Two molecules far apart, each with its own stiffness."""

        def __init__(self, first, second):
            super().__init__({(0, 1): 1.0, (2, 3): 1.0}, [0.3, -0.3, 0.3, -0.3])
            self.parts = [
                Springs({pair: 1.0}, self.charges, k) for pair, k in zip(self.lengths, (first, second), strict=True)
            ]

        def calculate(self, atoms=None, properties=(), system_changes=()):
            results = []
            for part in self.parts:
                part.calculate(atoms, properties, system_changes)
                results.append(part.results)
            super().calculate(atoms, properties, system_changes)
            self.results |= {name: results[0][name] + results[1][name] for name in ('energy', 'forces')}

    start = Structure(Atoms('HFHF', [[0, 0, 0], [1, 0, 0], [0, 9, 0], [1, 9, 0]]))
    config = configure(reference=True, runs=0)
    findings, frames = examine(config, Subject(Uneven(30.0, 31.0), start))
    found = compare(config, findings, frames, [compute(frame, Uneven(31.0, 30.0)) for frame in frames])
    low, high = findings.curves['harmonic']['wavenumber (cm⁻¹)'][-2:]
    assert found.values['strongest_peak_error'] == pytest.approx(0, abs=1e-3)
    assert found.values['peak_error'] == pytest.approx(high - low, rel=1e-3)


def test_dynamics_that_explode_leave_the_harmonic_numbers(pair):
    stiff = diatomic(stiffness=3000.0)
    findings, _ = examine(configure(**SHORT | {'timestep': 2.0, 'interval': 1}), Subject(stiff, pair))
    assert findings.broken.startswith('dynamics at 300 K: ')
    assert findings.values['total_intensity'] > 0
    assert findings.values['peak_difference'] is None
    assert findings.values['energy_drift'] is None
    assert 'harmonic' in findings.curves


def test_a_start_that_does_not_relax_is_broken(pair):
    class Noisy(Springs):
        """Forces without an energy behind them."""

        noise = np.random.default_rng(0)

        def calculate(self, *arguments, **keys):
            super().calculate(*arguments, **keys)
            self.results['forces'] = self.noise.normal(size=(2, 3))

    findings, _ = examine(configure(**SHORT), Subject(Noisy({(0, 1): 0.95}, [0.3, -0.3]), pair))
    assert findings.broken == 'the start does not relax to 0.001 eV/Å in 500 steps'
    assert findings.values == {}


@pytest.mark.parametrize('count', [1, 201])
def test_starts_of_a_wrong_size_are_refused(count):
    with pytest.raises(ValueError, match=f'"geometry" has {count} atoms; validator \'infrared\' takes 2 to 200'):
        make_validator(configure()).check_start(Structure(Atoms(f'H{count}', np.zeros((count, 3)))))
    make_validator(configure()).check_start(Structure(molecule('H2O')))


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'timestep': 1.0, 'interval': 4}, r'"interval" \(4\) times "timestep" \(1.0 fs\) is over 3.0 fs'),
        ({'window': 5.0}, r'"window" \(5.0 ps\) is longer than "length" \(4.0 ps\)'),
        ({'temperature': 0.0}, r'validator\.temperature: .*greater than 0'),
        ({'at_most': {'peak_error': 1.0}}, r'peak_error: a limit of a difference needs reference = true'),
        ({'at_most': {'activity_error': 1.0}}, r"activity_error, which 'infrared' does not give"),
    ],
)
def test_bad_values_are_refused(keys, message):
    with pytest.raises(ConfigError, match=message):
        parse_plugin('validator', {'type': 'infrared', 'geometry': GEOMETRY} | keys)


def test_example(tblite):
    table = tomllib.loads(registry.get('validator', 'infrared').example)['validator']
    config = parse_plugin('validator', table)
    [start] = build_geometries(config.geometry, None, 0)
    lines = []
    findings, _ = examine(config, Subject(tblite, start, report=lines.append))
    assert findings.broken is None
    assert set(findings.values) <= set(config.quantities)
    assert all(item.passed for item in check(config, findings))
    assert lines == ['infrared: trajectory 1 of 1 is done']
