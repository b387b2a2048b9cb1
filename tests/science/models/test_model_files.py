"""Calculators ``mace`` and ``pace``: models that lie in files."""

from __future__ import annotations

import pytest

from aiida_traincraft.science.calculators import check_elements, make_calculator
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.errors import ConfigError


def test_models_that_are_not_there(tmp_path):
    single = parse_plugin('calculator', {'type': 'mace', 'model': str(tmp_path / 'none.model')})
    with pytest.raises(ValueError, match=r'model .*none\.model does not exist'):
        make_calculator(single)
    committee = parse_plugin('calculator', {'type': 'mace', 'model': ['a.model', 'b.model'], 'device': 'cuda:1'})
    with pytest.raises(ValueError, match=r'model a\.model does not exist'):
        make_calculator(committee)


def test_elements_of_a_potential_are_those_with_an_energy():
    pace = parse_plugin('calculator', {'type': 'pace', 'potential': 'p.yaml', 'e0': {'Cu': -1.0, 'Au': -2.0}})
    check_elements(pace, ['Au', 'Cu'])
    with pytest.raises(ValueError, match="'pace' does not know Ag; it supports Au, Cu"):
        check_elements(pace, ['Ag', 'Au'])


@pytest.mark.parametrize(
    ('keys', 'message'),
    [({}, r'calculator\.model: this key is required'), ({'model': []}, 'model'), ({'device': 'gpu'}, 'device')],
)
def test_keys(keys, message):
    with pytest.raises(ConfigError, match=message):
        parse_plugin('calculator', {'type': 'mace'} | ({'model': 'a.model'} if 'device' in keys else {}) | keys)
