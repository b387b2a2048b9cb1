"""Calculators by name."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import parameters
from ase.calculators.fd import calculate_numerical_forces
from pydantic import ValidationError

from aiida_traincraft.science import registry
from aiida_traincraft.science.calculators import check_elements, make_calculator
from aiida_traincraft.science.calculators.emt import EmtConfig
from aiida_traincraft.science.calculators.lennard_jones import LennardJonesConfig
from aiida_traincraft.science.calculators.potential import load_potential
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.config.kinds import CalculatorConfig
from aiida_traincraft.science.errors import ConfigError


def test_emt_gives_energy_forces_and_stress():
    atoms = bulk('Cu', cubic=True)
    atoms.positions[0] += 0.1
    atoms.calc = make_calculator(parse_plugin('calculator', {'type': 'emt'}))
    assert np.isfinite(atoms.get_potential_energy())
    assert np.abs(atoms.get_forces()).max() > 0.1
    assert atoms.get_stress().shape == (6,)


def test_lennard_jones_minimum_and_cutoff():
    config = LennardJonesConfig(sigma=3.4, epsilon=0.01, rc=10.0)
    energies = []
    for distance in (2 ** (1 / 6) * 3.4, 9.999, 10.001):
        atoms = Atoms('Ar2', positions=[[0, 0, 0], [0, 0, distance]])
        atoms.calc = make_calculator(config)
        energies.append(atoms.get_potential_energy())
    assert energies == pytest.approx([-0.01, 0.0, 0.0], abs=1e-8)


def test_lennard_jones_forces_are_the_derivative_even_where_it_is_cut():
    atoms = Atoms('Ar3', positions=[[0, 0, 0], [0, 3.6, 0], [0, 0, 8.5]])
    atoms.calc = make_calculator(LennardJonesConfig(sigma=3.4, epsilon=0.01, rc=10.0))
    assert atoms.get_forces() == pytest.approx(calculate_numerical_forces(atoms, eps=1e-4), abs=1e-7)


@pytest.mark.parametrize('keys', [{'rc': 3.0}, {'sigma': 0.0}, {'epsilon': -1.0}])
def test_lennard_jones_limits(keys):
    with pytest.raises(ValidationError):
        LennardJonesConfig(**({'sigma': 3.4, 'epsilon': 0.01, 'rc': 10.0} | keys))


def test_elements():
    check_elements(EmtConfig(), ['Cu', 'Au', 'Cu'])
    check_elements(LennardJonesConfig(sigma=1, epsilon=1, rc=3), ['U', 'Cu'])
    check_elements(CalculatorConfig(type='without'), ['U'])
    assert EmtConfig.elements == frozenset(parameters)
    with pytest.raises(ValueError, match=r"calculator 'emt' does not know Fe, U; it supports Ag, Al, Au, C, Cu"):
        check_elements(EmtConfig(), ['U', 'Cu', 'Fe'])


def test_unknown_calculators():
    with pytest.raises(registry.UnknownPluginError, match='did you mean'):
        make_calculator(CalculatorConfig(type='lenard_jones'))
    with pytest.raises(ConfigError, match=r"calculator\.type: no calculator is called 'emtt'; did you mean 'emt'"):
        parse_plugin('calculator', {'type': 'emtt'})
    with pytest.raises(ConfigError, match=r'calculator\.sigma: this key is required'):
        parse_plugin('calculator', {'type': 'lennard_jones', 'epsilon': 1.0, 'rc': 3.0})


def test_potential_of_unknown_type(tmp_path):
    with pytest.raises(ValueError, match="no potential is of type 'snap'; known are pace, mace and calculator"):
        load_potential({'type': 'snap'}, tmp_path)
