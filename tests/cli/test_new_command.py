"""``traincraft new``: templates that are valid campaigns."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from aiida_traincraft.cli import main
from aiida_traincraft.cli.new import templates

NAMES = [
    'alloy', 'bulk_metal', 'molecular_liquid', 'molecule', 'nanotube', 'oxide', 'surface_reaction', 'two_dimensional',
]  # fmt: skip


def call(*arguments):
    return CliRunner(env={'COLUMNS': '200'}).invoke(main, [str(argument) for argument in arguments])


def test_all_templates_are_listed():
    assert list(templates()) == NAMES
    lines = call('new', '--list').output.splitlines()
    assert [line.split()[0] for line in lines] == NAMES


@pytest.mark.parametrize('name', NAMES)
def test_template_is_valid(name, tmp_path):
    path = tmp_path / 'campaign.toml'
    assert call('new', path, '--template', name).exit_code == 0
    result = call('validate', '--without-profile', path)
    assert result.exit_code == 0, result.output
    assert ': valid; ' in result.output


@pytest.mark.parametrize('name', NAMES)
def test_lengths_and_temperatures_have_their_unit(name):
    for line in templates()[name].splitlines():
        if re.match(r'(vacuum|cutoff|stdev|temperature\w*|timestep|density) =', line) and '#' in line:
            assert re.search(r'(\(|# +)(Å|K|fs|g/cm³|eV/Å)', line), line


def test_nothing_is_overwritten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call('new', '--template', 'oxide').exit_code == 0
    (tmp_path / 'oxide.toml').write_text('mine')
    result = call('new', '--template', 'oxide')
    assert result.exit_code == 1
    assert '--force' in result.output
    assert (tmp_path / 'oxide.toml').read_text() == 'mine'
    assert call('new', '--template', 'oxide', '--force').exit_code == 0
    assert (tmp_path / 'oxide.toml').read_text() == templates()['oxide']


@pytest.mark.parametrize('arguments', [(), ('--template', 'oxid')])
def test_names_are_told(arguments):
    result = call('new', *arguments)
    assert result.exit_code == 1
    assert 'surface_reaction' in result.output
