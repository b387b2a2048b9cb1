"""Validator ``phonons``: real EMT, real phonopy."""

import sys
import tomllib
import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.science.geometry import build_geometries
from aiida_traincraft.science.optional import MissingLibraryError
from aiida_traincraft.science.structure import Structure, from_record, to_record
from aiida_traincraft.science.validation import Subject, check, compare, compute, examine, make_validator
from aiida_traincraft.science.validation.phonons import PhononsConfig

pytest.importorskip('phonopy')

GEOMETRY = {'builder': {'type': 'crystal', 'name': 'Cu'}}


def configure(**keys):
    return PhononsConfig(geometry=GEOMETRY, **{'repeat': (3, 3, 3), 'mesh': 10} | keys)


def at_point(findings, name):
    curve = findings.curves['special_points']
    row = curve['point'].index(name)
    return [column[row] for key, column in curve.items() if key.startswith('branch')]


@pytest.mark.parametrize(('cubic', 'repeat'), [(False, (4, 4, 4)), (True, (3, 3, 3))])
def test_copper_has_its_known_frequencies_in_any_cell(cubic, repeat):
    start = Structure(bulk('Cu', cubic=cubic))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        findings, frames = examine(configure(repeat=repeat), Subject(EMT(), start))
    assert findings.broken is None
    assert len(frames) == 1
    assert len(frames[0]) == len(start) * np.prod(repeat)
    assert at_point(findings, 'X') == pytest.approx([5.53, 5.53, 8.14], abs=0.01)
    assert at_point(findings, 'L') == pytest.approx([3.55, 3.55, 8.07], abs=0.01)
    assert at_point(findings, 'G') == pytest.approx([0, 0, 0], abs=1e-3)
    assert findings.values['highest_frequency'] == pytest.approx(8.14, abs=0.01)
    # The slowest is a long wave beside Γ, where the frequency itself is left out.
    assert 0.05 < findings.values['lowest_frequency'] < 1
    assert findings.notes == []


def test_density_of_states_holds_all_branches():
    findings, _ = examine(configure(mesh=20), Subject(EMT(), Structure(bulk('Cu'))))
    frequencies, density = (np.array(column) for column in findings.curves['density'].values())
    assert np.trapezoid(density, frequencies) == pytest.approx(3, rel=0.02)
    mean = np.trapezoid(density * frequencies, frequencies) / 3
    assert findings.values['mean_frequency'] == pytest.approx(mean, rel=0.02)
    lengths = {len(column) for column in findings.curves['bands'].values()}
    assert lengths == {120}


def test_an_unstable_lattice_is_a_result():
    config = configure(at_least={'lowest_frequency': -0.1})
    findings, _ = examine(config, Subject(EMT(), Structure(bulk('Cu', 'bcc', a=2.87))))
    assert findings.broken is None
    assert findings.values['lowest_frequency'] == pytest.approx(-1.17, abs=0.02)
    [note] = findings.notes
    assert note == 'imaginary modes at N, the lowest -1.17 THz'
    assert not check(config, findings)[0].passed


def test_optical_branches_of_a_compound():
    start = Structure(Atoms('CuAu', [[0, 0, 0], [1.35, 1.35, 1.85]], cell=[2.7, 2.7, 3.7], pbc=True))
    findings, frames = examine(configure(repeat=(3, 3, 2)), Subject(EMT(), start))
    assert findings.broken is None
    assert {frame.atoms.symbols[frame.provenance['atom']] for frame in frames} == {'Cu', 'Au'}
    gamma = at_point(findings, 'G')
    assert len(gamma) == 6
    assert np.abs(gamma[:3]).max() < 1e-3 < min(gamma[3:])


def test_errors_against_a_reference():
    class Stiffer(EMT):
        """EMT with forces 1.21 times as large: frequencies 1.1 times as high."""

        def calculate(self, *arguments, **keys):
            super().calculate(*arguments, **keys)
            self.results['forces'] = 1.21 * self.results['forces']

    config = configure(reference=True, at_most={'band_error': 0.1, 'highest_frequency_error': 1.0})
    findings, frames = examine(config, Subject(EMT(), Structure(bulk('Cu'))))
    stored = [from_record(to_record(frame.bare())) for frame in frames]
    same = compare(config, findings, frames, [compute(frame, EMT()) for frame in stored])
    assert same.values['band_error'] == pytest.approx(0, abs=1e-6)
    assert all(item.passed for item in check(config, same))
    other = compare(config, findings, frames, [compute(frame, Stiffer()) for frame in stored])
    bands = np.array([column for name, column in findings.curves['bands'].items() if name.startswith('branch')])
    assert other.values['band_error'] == pytest.approx(0.1 * np.sqrt((bands**2).mean()), rel=1e-3)
    assert other.values['highest_frequency_error'] == pytest.approx(-0.1 * findings.values['highest_frequency'])
    assert [item.passed for item in check(config, other)] == [False, True]


def test_starts_that_are_no_crystals_or_too_large_are_refused():
    with pytest.raises(ValueError, match='"geometry": validator \'phonons\' starts from a crystal'):
        make_validator(configure()).check_start(Structure(molecule('H2O')))
    with pytest.raises(ValueError, match=r'"repeat" asks for 1e\+06 atoms'):
        make_validator(configure(repeat=(100, 100, 100))).check_start(Structure(bulk('Cu')))
    make_validator(configure()).check_start(Structure(bulk('Cu')))


def test_without_phonopy_the_message_says_how_to_get_it(monkeypatch):
    for name in [name for name in sys.modules if name.partition('.')[0] == 'phonopy']:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'phonopy', None)
    with pytest.raises(MissingLibraryError, match=r'pip install "phonopy>='):
        examine(configure(), Subject(EMT(), Structure(bulk('Cu'))))


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'displacement': 0.0}, r'validator\.displacement: .*greater than 0'),
        ({'mesh': 0}, r'validator\.mesh: .*greater than or equal to 1'),
        ({'at_most': {'band_error': 0.1}}, r'band_error: a limit of a difference needs reference = true'),
    ],
)
def test_bad_values_are_refused(keys, message):
    with pytest.raises(ConfigError, match=message):
        parse_plugin('validator', {'type': 'phonons', 'geometry': GEOMETRY} | keys)


def test_example():
    config = parse_plugin('validator', tomllib.loads(registry.get('validator', 'phonons').example)['validator'])
    [start] = build_geometries(config.geometry, None, 0)
    lines = []
    findings, _ = examine(config, Subject(EMT(), start, report=lines.append))
    assert findings.broken is None
    assert set(findings.values) <= set(config.quantities)
    assert all(item.passed for item in check(config, findings))
    assert lines[-1] == 'phonons: 1 displacements in 27 atoms'
