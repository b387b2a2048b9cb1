"""Validator ``rdf``."""

import tomllib

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.geometry.rdf import get_rdf

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.science.sampling import run_sampling
from aiida_traincraft.science.sampling.md import MdConfig
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import Subject, check, examine
from aiida_traincraft.science.validation.rdf import RdfConfig, radial_distribution

SHORT = {'temperature': 600.0, 'runs': 1, 'length': 0.4, 'equilibration': 0.2, 'timestep': 4.0}


class Stiff(EMT):
    """Forces too large: the atoms of a crystal hardly move."""

    factor = 8

    def calculate(self, *arguments, **keys):
        super().calculate(*arguments, **keys)
        self.results['forces'] = self.factor * self.results['forces']


class Wild(Stiff):
    """Forces so large that dynamics explode."""

    factor = 40


@pytest.fixture(scope='module')
def labelled():
    atoms = bulk('Cu', cubic=True).repeat(2)
    atoms.symbols[::4] = 'Au'
    atoms.set_cell(1.05 * atoms.cell, scale_atoms=True)
    config = MdConfig(temperature=600.0, timestep=4.0, steps=150, equilibration=100, n=30)
    return run_sampling(Structure(atoms, {}, {'system': 'alloy'}), EMT(), None, config, 3)


def test_distributions_are_those_of_ase(labelled):
    frame = Structure(labelled[0].atoms.repeat(2))
    edges = np.linspace(0, 6.0, 61)
    found = radial_distribution(frame, edges)
    assert set(found) == {'Au-Au', 'Au-Cu', 'Cu-Cu'}
    for pair, values in found.items():
        theirs, _ = get_rdf(frame.atoms, 6.0, 60, elements=pair.split('-'))
        assert values == pytest.approx(theirs, abs=1e-8)


def test_a_small_cell_is_no_limit(labelled):
    edges = np.linspace(0, 6.0, 61)
    one, many = (radial_distribution(Structure(atoms), edges) for atoms in (bulk('Cu'), bulk('Cu').repeat(4)))
    assert one['Cu-Cu'] == pytest.approx(many['Cu-Cu'])


def test_the_same_potential_agrees_within_the_noise(labelled):
    findings, _ = examine(RdfConfig(**SHORT), Subject(EMT(), labelled=labelled))
    assert findings.broken is None
    assert findings.values['rdf_error'] < 0.2
    assert 0 < findings.values['rdf_noise'] < 0.2
    assert findings.notes == ['100 frames of dynamics against 30 labelled ones']
    assert set(findings.curves) == {'Au-Au', 'Au-Cu', 'Cu-Cu'}
    curve = {name: np.array(column) for name, column in findings.curves['Cu-Cu'].items()}
    assert curve['distance (Å)'][[0, -1]] == pytest.approx([0.05, 5.95])
    assert 2.4 < curve['distance (Å)'][curve['g'].argmax()] < 2.9
    error = np.abs(curve['g'] - curve['g of the labels']).sum() / curve['g of the labels'].sum()
    assert error <= findings.values['rdf_error'] + 1e-12


def test_another_potential_is_told_from_it(labelled):
    config = RdfConfig(**SHORT | {'timestep': 2.0, 'length': 0.2})
    own, other = (
        examine(config, Subject(calculator, labelled=labelled))[0].values['rdf_error']
        for calculator in (EMT(), Stiff())
    )
    assert other > 2 * own


def test_an_explosion_is_a_result(labelled):
    findings, _ = examine(RdfConfig(**SHORT | {'timestep': 10.0, 'length': 2.0}), Subject(Wild(), labelled=labelled))
    assert findings.broken.startswith('run 1 of 1: broken: ')
    assert findings.values['rdf_error'] is None
    assert findings.values['rdf_noise'] > 0


def test_frames_are_chosen_by_system_and_temperature(labelled):
    other = Structure(bulk('Cu'), {}, {'system': 'crystal', 'temperature': 600.0})
    keys = SHORT | {'length': 0.04, 'equilibration': 0.0}
    findings, _ = examine(RdfConfig(**keys), Subject(EMT(), labelled=[*labelled, other]))
    assert findings.broken == 'labelled structures of Au8Cu24, Cu: choose one system with "frames_of"'
    findings, _ = examine(RdfConfig(**keys, frames_of='alloy'), Subject(EMT(), labelled=[*labelled, other]))
    assert findings.notes == ['10 frames of dynamics against 30 labelled ones']
    near = sum(abs(frame.provenance['temperature'] - 600) <= 50 for frame in labelled)
    findings, _ = examine(RdfConfig(**keys, tolerance=50.0), Subject(EMT(), labelled=labelled))
    assert 0 < near < 30
    assert findings.notes == [f'10 frames of dynamics against {near} labelled ones']
    findings, _ = examine(RdfConfig(**keys, frames_of='liquid'), Subject(EMT(), labelled=labelled))
    assert findings.broken == 'no labelled structure is left by "frames_of" and "tolerance"'


def test_bins_make_up_the_range(labelled):
    keys = SHORT | {'length': 0.04, 'equilibration': 0.0}
    for r_max, width, n_bins in ((3.0, 0.7, 4), (0.1, 1.0, 1)):
        findings, _ = examine(RdfConfig(**keys, r_max=r_max, width=width), Subject(EMT(), labelled=labelled))
        assert findings.broken is None
        assert len(findings.curves['Cu-Cu']['g']) == n_bins
    # No atoms so near: nothing to compare.
    assert findings.values['rdf_error'] is None


def test_one_frame_tells_no_noise(labelled):
    keys = SHORT | {'length': 0.04, 'equilibration': 0.0}
    findings, _ = examine(RdfConfig(**keys), Subject(EMT(), labelled=labelled[:1]))
    assert findings.values['rdf_noise'] is None
    assert findings.values['rdf_error'] > 0


def test_what_is_not_periodic_has_no_density(labelled):
    frame = labelled[0].bare()
    frame.atoms.pbc = (True, True, False)
    findings, _ = examine(RdfConfig(**SHORT), Subject(EMT(), labelled=[frame]))
    assert 'not periodic in all directions' in findings.broken


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'r_max': 50.0}, r'validator\.r_max: .*less than or equal to 20'),
        ({'width': 0.0}, r'validator\.width: '),
        ({'system': 'alloy'}, r'validator\.system: '),
    ],
)
def test_bad_values_are_refused(keys, message):
    with pytest.raises(ConfigError, match=message):
        parse_plugin('validator', {'type': 'rdf'} | SHORT | keys)


def test_example(labelled):
    config = parse_plugin('validator', tomllib.loads(registry.get('validator', 'rdf').example)['validator'])
    assert config.needs_labels
    findings, _ = examine(config, Subject(EMT(), labelled=labelled))
    assert set(findings.values) <= set(config.quantities)
    assert all(item.passed for item in check(config, findings))
