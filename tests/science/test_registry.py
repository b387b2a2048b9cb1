"""Registry: names, suggestions, plugins from files."""

from typing import Literal

import pytest

from aiida_traincraft.science import registry
from aiida_traincraft.science.calculators import make_calculator
from aiida_traincraft.science.config.base import PluginConfig
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.config.kinds import CalculatorConfig

PLUGIN = '''
"""A plugin as a user writes it."""

from __future__ import annotations

from typing import Annotated, Literal

from ase.calculators.morse import MorsePotential
from pydantic import Field

from aiida_traincraft.science.config.kinds import CalculatorConfig
from aiida_traincraft.science.registry import register

Depth = Annotated[float, Field(gt=0)]


class MorseConfig(CalculatorConfig):
    type: Literal['NAME'] = 'NAME'
    depth: Depth


@register('calculator', 'NAME', MorseConfig)
def make_morse(config: MorseConfig) -> MorsePotential:
    """Morse potential of a test."""
    return MorsePotential(epsilon=config.depth)
'''


pytestmark = pytest.mark.usefixtures('restored_registry')


class SomeConfig(CalculatorConfig):
    type: Literal['some'] = 'some'


def some(config):
    """First line.

    Second line.
    """


def test_builtin_plugins():
    assert {'crystal', 'slab'} <= set(registry.names('builder'))
    assert {'supercell', 'strain', 'perturb'} <= set(registry.names('transform'))
    assert {'emt', 'lennard_jones'} <= set(registry.names('calculator'))
    assert {'rattle', 'md'} <= set(registry.names('sampler'))
    assert 'file' in registry.names('source')
    assert {'pace', 'pace_linear'} <= set(registry.names('trainer'))


def test_every_plugin_is_described_and_named_by_its_type():
    for plugin in registry.plugins():
        assert plugin.summary, plugin
        assert plugin.config.model_fields['type'].default == plugin.name


def test_plugins_come_in_pipeline_order():
    kinds = [registry.KINDS.index(plugin.kind) for plugin in registry.plugins()]
    assert kinds == sorted(kinds)


def test_register_and_get():
    registry.register('calculator', 'some', SomeConfig)(some)
    plugin = registry.get('calculator', 'some')
    assert (plugin.function, plugin.config, plugin.summary) == (some, SomeConfig, 'First line.')


def test_suggestion_and_allowed_names():
    with pytest.raises(registry.UnknownPluginError) as caught:
        registry.get('builder', 'crystl')
    assert "no builder is called 'crystl'; did you mean 'crystal'? (allowed: alloy, cluster, crystal, " in str(
        caught.value
    )
    with pytest.raises(registry.UnknownPluginError) as caught:
        registry.get('builder', 'zzz')
    assert 'did you mean' not in str(caught.value)


def test_a_model_of_the_common_base_gets_the_traits_of_its_kind():
    class CommonConfig(PluginConfig):
        """Derived from what all kinds share."""

        type: Literal['common'] = 'common'

    registry.register('calculator', 'common', CommonConfig)(some)
    config = registry.get('calculator', 'common').config(type='common')
    assert isinstance(config, CommonConfig)
    assert config.known_elements() is None


def test_what_cannot_be_registered():
    with pytest.raises(TypeError, match='EmtConfig is no BuilderConfig, but of another kind'):
        registry.register('builder', 'some', registry.get('calculator', 'emt').config)(some)
    with pytest.raises(ValueError, match='unknown plugin kind'):
        registry.register('calculater', 'some', SomeConfig)(some)
    with pytest.raises(TypeError, match='config model derived from CalculatorConfig'):
        registry.register('calculator', 'some', dict)(some)
    with pytest.raises(TypeError, match='config model'):
        registry.register('calculator', 'some')(some)
    with pytest.raises(TypeError, match='not callable'):
        registry.register('calculator', 'some', SomeConfig)(3)
    with pytest.raises(ValueError, match=r"calculator 'emt' is already registered by .*calculators\.emt"):
        registry.register('calculator', 'emt', SomeConfig)(some)


def test_plugin_of_a_file_is_used(tmp_path):
    path = tmp_path / 'my_plugin.py'
    path.write_text(PLUGIN.replace('NAME', 'test_morse'))
    registry.load_plugins([path])
    registry.load_plugins([path])
    calculator = make_calculator(parse_plugin('calculator', {'type': 'test_morse', 'depth': 2.0}))
    assert calculator.parameters['epsilon'] == 2.0


def test_same_plugin_from_another_folder(tmp_path):
    for folder in ('here', 'there'):
        path = tmp_path / folder / 'my_plugin.py'
        path.parent.mkdir()
        path.write_text(PLUGIN.replace('NAME', 'test_morse'))
        registry.load_plugins([path])
    assert 'test_morse' in registry.names('calculator')


def test_bad_plugin_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'plugin file .*absent\.py does not exist'):
        registry.load_plugins([tmp_path / 'absent.py'])
    (tmp_path / 'plugin.txt').write_text('')
    with pytest.raises(ImportError, match=r'is not a Python module \(\.py\)'):
        registry.load_plugins([tmp_path / 'plugin.txt'])
    broken = tmp_path / 'broken.py'
    broken.write_text('1 / 0')
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            registry.load_plugins([broken])
