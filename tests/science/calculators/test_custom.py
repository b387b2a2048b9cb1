"""Calculator ``custom``: by a dotted path."""

from __future__ import annotations

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from pydantic import ValidationError

from aiida_traincraft.science import registry
from aiida_traincraft.science.calculators import check_properties, make_calculator
from aiida_traincraft.science.calculators.custom import CustomConfig


def test_a_class_of_an_installed_module():
    atoms = bulk('Ar', 'fcc', a=5.3)
    atoms.calc = make_calculator(
        CustomConfig(factory='ase.calculators.lj:LennardJones', arguments={'sigma': 3.4, 'epsilon': 0.01, 'rc': 8.0})
    )
    assert atoms.calc.parameters['sigma'] == 3.4
    assert -0.1 < atoms.get_potential_energy() < 0.0


def test_a_function_of_a_plugin_file(tmp_path):
    file = tmp_path / 'own_teacher_of_this_test.py'
    file.write_text('from ase.calculators.emt import EMT\n\ndef make(asap_cutoff):\n    return EMT()\n')
    registry.load_plugins([file])
    config = CustomConfig(factory='own_teacher_of_this_test:make', arguments={'asap_cutoff': True})
    assert isinstance(make_calculator(config), EMT)


def test_properties_are_checked_where_they_are_told():
    check_properties(CustomConfig(factory='a:b'), ['polarizability'], periodic=False)
    with pytest.raises(ValueError, match="'custom' gives no dipole; it gives energy, forces"):
        check_properties(CustomConfig(factory='a:b', gives=('energy', 'forces')), ['dipole'], periodic=False)


@pytest.mark.parametrize(
    ('factory', 'arguments', 'message'),
    [
        ('nowhere_at_all:make', {}, r'cannot be imported \(ModuleNotFoundError'),
        ('ase.calculators.lj:Lenard', {}, r'cannot be imported \(AttributeError'),
        ('ase.calculators.lj:LennardJones', {'0': 1, 'directory': 3}, r'failed \('),
        ('builtins:dict', {}, 'gave a dict, no ASE calculator'),
    ],
)
def test_factories_that_give_no_calculator(factory, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_calculator(CustomConfig(factory=factory, arguments=arguments))


@pytest.mark.parametrize('factory', ['emt', 'a:b:c', '../a:b', 'a:', ':b', 'a b:c'])
def test_paths_that_are_none(factory):
    with pytest.raises(ValidationError, match='factory'):
        CustomConfig(factory=factory)
