"""MACE: the numbers of its own calculator, the spread of a committee, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

ENERGY = {'energy', 'free_energy', 'forces', 'stress'}


@pytest.fixture(scope='module')
def facts(run_with_mace, mace_models):
    script = Path(__file__).with_name('mace_against_its_own.py')
    return json.loads(run_with_mace(script, mace_models).splitlines()[-1])


@pytest.mark.parametrize(
    ('case', 'properties'),
    [
        ('single', ENERGY),
        ('committee', ENERGY),
        ('no_shift', ENERGY),
        ('low', ENERGY),
        ('high', ENERGY),
        ('float32', ENERGY),
        ('dipoles', {'dipole'}),
        ('dielectric', {'dipole', 'polarizability'}),
        ('energy_dipoles', {*ENERGY, 'dipole'}),
    ],
)
def test_numbers_are_those_of_maces_own_calculator(facts, case, properties):
    found = facts['cases'][case]
    assert set(found['implemented']) == found['differences'].keys() == properties
    for name, (difference, size) in found['differences'].items():
        assert difference < 1e-6, name
        assert size > 1e-4, name
    assert found['elements'] == ['Al', 'Cu']
    assert found['uncertainty'] == ('spread' if case == 'committee' else None)


def test_descriptor_is_that_of_mace(facts):
    compared = {name: case['descriptor'] for name, case in facts['cases'].items() if 'descriptor' in case}
    assert len(compared) == 6
    assert max(compared.values()) < 1e-6
    # Two layers of four scalar channels for each element; aluminium comes first.
    assert len(facts['absent_element']) == 16
    assert not any(facts['absent_element'][:8])
    assert any(facts['absent_element'][8:])


def test_spread_of_a_committee(facts):
    committee = facts['committee']
    forces = np.array(committee['forces_comm'])
    deviations = forces - forces.mean(axis=0)
    expected = np.sqrt((deviations**2).mean(axis=0).sum(axis=1))
    assert committee['uncertainty'] == pytest.approx(expected, abs=1e-9)
    assert committee['energy_spread'] == pytest.approx(np.std(committee['energy_comm']) / 4, abs=1e-9)
    assert min(committee['uncertainty']) > 1e-3


def test_the_spread_of_an_atom_alone_is_infinite(facts):
    assert facts['committee']['pair'] == [False, False, True]


def test_the_first_member_drives_alone_until_the_spread_is_asked_for(facts):
    committee = facts['committee']
    assert committee['cost'] == {'plain': [0], 'watching': [0, 1, 2]}
    assert committee['plain_keys'] == sorted(ENERGY)
    assert max(committee['first_member'].values()) < 1e-9
    assert max(committee['watching_changes'].values()) == 0


def test_many_structures_together(facts):
    assert facts['many']['differences'] < 1e-9
    assert facts['many']['errors'] == {
        '6': 'the potential has no Fe; it knows Al, Cu',
        '8': 'a structure without atoms cannot be evaluated',
    }


def test_many_structures_together_in_float32(facts):
    found = facts['many_in_float32']
    assert found.keys() == ENERGY
    assert max(difference for difference, _ in found.values()) < 1e-6
    assert min(found['energy'][1], found['forces'][1]) > 1


def test_the_orientation_of_a_slab_does_not_matter(facts):
    upright, lying = facts['lying_slab']
    assert lying == pytest.approx(upright, abs=1e-9)


def test_clear_refusals(facts):
    refused = facts['refused']
    assert refused.pop('absent').endswith('nowhere.model does not exist')
    assert refused.pop('damaged').startswith('damaged.model is no MACE model: UnpicklingError')
    assert refused == {
        'weights': 'weights.model holds a dict; known are MACE, ScaleShiftMACE, EnergyDipolesMACE, AtomicDipolesMACE, '
        'AtomicDielectricMACE',
        'cutoff': 'longer.model and model_0.model differ in class, elements, heads, cutoff or dtype',
        'dtype': 'float32.model and model_0.model differ in class, elements, heads, cutoff or dtype',
        'no_head': "name the head: the model has ['low', 'high']",
        'unknown_head': "there is no head 'middle': the model has ['low', 'high']",
        'element_of_another_head': 'head "high" of the potential has no Cu; it knows Al',
        'no_committee': 'the spread of the forces needs a committee: two or more models that have forces',
    }
