"""Source materials_project; its service cannot be asked here, so that a stand-in of its client gives the crystals."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from aiida_traincraft.science.config.base import ConfigError, parse_plugin
from aiida_traincraft.science.extras import MissingLibraryError
from aiida_traincraft.science.geometry.sources.materials_project import KEY, read_materials_project

SECRET = 'a-key-that-nobody-may-see'
SILICON = Structure(Lattice.cubic(5.43), ['Si4+', 'Si4+'], [[0, 0, 0], [0.25, 0.25, 0.25]])
SILICON.add_site_property('magmom', [0.1, 0.2])
MIXED = Structure(Lattice.cubic(3.0), [{'Cu': 0.5, 'Au': 0.5}], [[0, 0, 0]])


class MPResterStandIn:
    """Not the client of the Materials Project: the two calls of it that the source makes, on a few crystals."""

    db_version = '2024.1.1'

    def __init__(self, key, mute_progress_bars):
        if key != SECRET:
            raise RuntimeError(f'the key {key} is not accepted')

    def __enter__(self):
        return self

    def __exit__(self, *arguments):
        pass

    def get_structure_by_material_id(self, name):
        if name == 'mp-500':
            raise ConnectionError(f'no connection with {SECRET}')
        return {'mp-149': SILICON, 'mp-2': MIXED}.get(name)


def read(*ids):
    config = parse_plugin('source', {'type': 'materials_project', 'ids': list(ids)})
    return read_materials_project(config, None, np.random.default_rng(0))


@pytest.fixture
def mp_rester_stand_in(monkeypatch):
    module = ModuleType('mp_api.client')
    module.MPRester = MPResterStandIn
    monkeypatch.setitem(sys.modules, 'mp_api', ModuleType('mp_api'))
    monkeypatch.setitem(sys.modules, 'mp_api.client', module)
    monkeypatch.setenv(KEY, SECRET)


def test_crystal_of_the_stand_in(mp_rester_stand_in):
    (structure,) = read('mp-149')
    atoms = structure.atoms
    assert structure.formula == 'Si2'
    assert atoms.cell.lengths() == pytest.approx([5.43] * 3)
    assert atoms.get_distance(0, 1, mic=True) == pytest.approx(5.43 * np.sqrt(3) / 4)
    assert atoms.pbc.all()
    assert set(atoms.arrays) == {'numbers', 'positions'}
    assert structure.provenance == {'material_id': 'mp-149', 'database_version': '2024.1.1'}


@pytest.mark.parametrize(
    ('name', 'told'),
    [
        ('mp-7', '"ids": .* has no \'mp-7\''),
        ('mp-2', '"ids": \'mp-2\' has partly occupied sites'),
        ('mp-500', r'"ids": .* gives no answer: no connection with \.\.\.'),
    ],
)
def test_refused_by_the_stand_in(mp_rester_stand_in, name, told):
    with pytest.raises(ValueError, match=told):
        read('mp-149', name)


def test_key_is_needed_and_never_shown(mp_rester_stand_in, monkeypatch):
    monkeypatch.setenv(KEY, 'wrong-key')
    with pytest.raises(ValueError, match='gives no answer') as caught:
        read('mp-149')
    assert 'wrong-key' not in str(caught.value)
    monkeypatch.delenv(KEY)
    with pytest.raises(ValueError, match='set MP_API_KEY'):
        read('mp-149')


@pytest.mark.skipif(importlib.util.find_spec('mp_api') is not None, reason='mp-api is installed')
def test_without_the_library():
    with pytest.raises(MissingLibraryError, match=r'pip install "aiida-traincraft\[materials_project\]"'):
        read('mp-149')


@pytest.mark.parametrize('ids', [[], [''], ['149'], ['mp-'], ['mp-149/../x'], ['mp-1'] * 2000, 'mp-149', [149]])
def test_identifiers_that_are_none(ids):
    with pytest.raises(ConfigError, match='ids'):
        parse_plugin('source', {'type': 'materials_project', 'ids': ids})
    with pytest.raises(ConfigError, match='api_key'):
        parse_plugin('source', {'type': 'materials_project', 'ids': ['mp-149'], 'api_key': SECRET})
