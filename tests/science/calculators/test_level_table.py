"""What of a calculator's table is a level of theory: the content of files, not where they lie."""

from __future__ import annotations

import json

import pytest

from aiida_traincraft.science.calculators.file_content import file_content
from aiida_traincraft.science.config.fields import parse_plugin

PARTS = {
    'mace': ('model',),
    'pace': ('potential', 'fast'),
    'espresso': ('pseudopotentials',),
}


@pytest.fixture
def level(tmp_path):
    """Function that gives the level of a calculator whose files lie in a folder of their own."""

    def make(kind, folder, content=b'numbers', **keys):
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        (place / 'Si.file').write_bytes(content)
        path = str(place / 'Si.file')
        table = {
            'mace': {'model': path},
            'pace': {'potential': path, 'fast': path, 'active_set': path, 'e0': {'Si': -1.0}},
            'espresso': {'pseudo_dir': str(place), 'pseudopotentials': {'Si': 'Si.file'}, 'ecutwfc': 12.0},
        }[kind]
        return parse_plugin('calculator', {'type': kind} | table | keys).level_table()

    return make


@pytest.mark.parametrize('kind', PARTS)
def test_a_file_counts_by_its_content(kind, level, tmp_path):
    first, elsewhere = level(kind, 'first'), level(kind, 'elsewhere')
    assert first == elsewhere
    assert str(tmp_path) not in json.dumps(first)
    changed = level(kind, 'first', content=b'other numbers')
    assert {key for key in first if first[key] != changed[key]} == {*PARTS[kind]}


@pytest.mark.parametrize(
    ('kind', 'keys'), [('mace', {'head': 'b'}), ('pace', {'e0': {'Si': -2.0}}), ('espresso', {'ecutwfc': 13.0})]
)
def test_the_rest_of_the_table_counts_too(kind, keys, level):
    first, other = level(kind, 'first'), level(kind, 'first', **keys)
    assert {key for key in first if first[key] != other[key]} == {*keys}


def test_a_committee_is_its_members_in_order(tmp_path):
    for name in ('a', 'b'):
        (tmp_path / name).write_text(name)
    paths = [str(tmp_path / name) for name in ('a', 'b')]
    tables = [
        parse_plugin('calculator', {'type': 'mace', 'model': m}).level_table() for m in (paths, paths[::-1], paths[:1])
    ]
    assert len({json.dumps(table, sort_keys=True) for table in tables}) == 3
    assert tables[2] == parse_plugin('calculator', {'type': 'mace', 'model': paths[0]}).level_table()


def test_a_file_that_is_not_there_is_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'here').write_text('x')
    assert file_content('here') == 'here'
    assert file_content(tmp_path / 'none') == str(tmp_path / 'none')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert file_content('~/here') == file_content(tmp_path / 'here')


def test_without_files_the_table_counts():
    config = parse_plugin('calculator', {'type': 'lennard_jones', 'epsilon': 0.01, 'sigma': 3.4, 'rc': 8.0})
    assert config.level_table() == config.model_dump(mode='json')
