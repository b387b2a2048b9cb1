"""``traincraft build`` and ``validate``: no profile is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ase.io
import pytest
from click.testing import CliRunner
from matplotlib.image import imread

from aiida_traincraft.cli import main

EXAMPLES = Path(__file__).parents[2] / 'examples'

CAMPAIGN = """
[run]
name = "small"
seed = 3

[[systems]]
name = "bulk"
geometry.builder = { type = "crystal", name = "Cu", a = 3.6, cubic = true }
geometry.transforms = [{ type = "perturb", stdev = 0.05 }]
sampling = { type = "rattle" }

[[systems]]
name = "pairs"
geometry.builder = { type = "dimer", elements = ["Cu", "Au"], n = 3 }
sampling = { type = "rattle" }

[labelling]
type = "ase"
calculator = { type = "emt" }

[training]
type = "pace_linear"

[exploration]
type = "ase"
sampling = { type = "rattle" }

[[test_set.systems]]
name = "test"
geometry.builder = { type = "crystal", name = "Au", a = 4.1 }
sampling = { type = "rattle" }
"""

PLUGIN = '''
from typing import Literal

from ase import Atoms

from aiida_traincraft.science.config.kinds import BuilderConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure


class RowConfig(BuilderConfig):
    type: Literal['row'] = 'row'
    n: int


@register('builder', 'row', RowConfig)
def build_row(config, rng):
    """Copper atoms in a row."""
    return Structure(Atoms('Cu' * config.n, [[2.5 * k, 0, 0] for k in range(config.n)]))
'''

WITHOUT_AIIDA = """
import sys

from aiida_traincraft.cli import main

main(sys.argv[1:], standalone_mode=False)
assert not [name for name in sys.modules if name.split('.')[0] in ('aiida', 'aiida_quantumespresso', 'plumpy')]
print('no aiida')
"""


@pytest.fixture
def traincraft(tmp_path, monkeypatch):
    """Function that calls ``traincraft`` in a folder with ``small.toml``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'small.toml').write_text(CAMPAIGN)

    def call(*arguments):
        return CliRunner(env={'COLUMNS': '200'}).invoke(main, [str(argument) for argument in arguments])

    return call


@pytest.fixture
def edited(tmp_path):
    """Function that writes the campaign with other text in it."""

    def write(*changes, name='edited.toml'):
        text = CAMPAIGN
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_files_picture_and_table(traincraft, tmp_path):
    result = traincraft('build', 'small.toml')
    assert result.exit_code == 0, result.output
    folder = tmp_path / 'runs' / 'small' / 'geometry'
    assert sorted(path.name for path in folder.iterdir()) == [
        'bulk.extxyz', 'contact_sheet.png', 'pairs.extxyz', 'test.extxyz',
    ]  # fmt: skip
    assert [len(ase.io.read(folder / f'{name}.extxyz', ':')) for name in ('bulk', 'pairs', 'test')] == [1, 9, 1]
    height, width, _ = imread(folder / 'contact_sheet.png').shape
    assert height > 500
    assert width > 800
    rows = {line.split()[0]: line for line in result.output.splitlines() if line.strip()}
    assert '3.60 × 3.60 × 3.60' in rows['bulk']
    # 4 atoms of 63.546 u in 3.6³ Å³.
    assert '9.047' in rows['bulk']
    assert rows['pairs'].split()[1:4] == ['9', 'Cu2', '2']
    # a/√2.
    assert rows['test'].split()[-1] == '2.899'


def test_same_seed_same_files(traincraft, tmp_path):
    for folder in ('one', 'two'):
        assert traincraft('build', 'small.toml', '--output', folder).exit_code == 0
    one, two = ((tmp_path / folder / 'bulk.extxyz').read_text() for folder in ('one', 'two'))
    assert one == two


def test_some_systems_only(traincraft, tmp_path):
    assert traincraft('build', 'small.toml', '--system', 'test').exit_code == 0
    assert not (tmp_path / 'runs/small/geometry/bulk.extxyz').exists()
    result = traincraft('build', 'small.toml', '--system', 'absent')
    assert result.exit_code == 1
    assert "no system 'absent'; it has bulk, pairs, test" in result.output


def test_what_can_be_built_is_written_though_another_fails(traincraft, tmp_path, edited):
    path = edited(('a = 4.1', 'a = 4.1, vacancies = 1'))
    result = traincraft('build', path)
    assert result.exit_code == 1
    assert '1 of 3 systems cannot be built' in result.output
    assert 'test_set.systems[0] (test): "vacancies"' in result.output
    assert (tmp_path / 'runs/small/geometry/pairs.extxyz').is_file()


def test_plugin_of_a_user(traincraft, tmp_path, edited, restored_plugins):
    (tmp_path / 'row.py').write_text(PLUGIN)
    path = edited(
        ('seed = 3', 'plugins = ["row.py"]'), ('{ type = "crystal", name = "Au", a = 4.1 }', '{ type = "row", n = 5 }')
    )
    assert traincraft('build', path, '--system', 'test').exit_code == 0
    assert len(ase.io.read(tmp_path / 'runs/small/geometry/test.extxyz')) == 5


@pytest.fixture
def restored_plugins(monkeypatch):
    from aiida_traincraft.science import registry

    registry.plugins()
    monkeypatch.setattr(registry, '_plugins', dict(registry._plugins))
    monkeypatch.setattr(registry, '_loaded', set(registry._loaded))


@pytest.mark.parametrize('command', [['build'], ['validate', '--without-profile']], ids=' '.join)
def test_aiida_is_not_imported(command, tmp_path):
    (tmp_path / 'small.toml').write_text(CAMPAIGN)
    done = subprocess.run(
        [sys.executable, '-c', WITHOUT_AIIDA, *command, 'small.toml'],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith('no aiida\n')


def test_source_of_a_profile_is_left_to_the_launch(traincraft, tmp_path, edited):
    path = edited(('builder = { type = "crystal", name = "Au", a = 4.1 }', 'source = { type = "aiida", group = "g" }'))
    for command in (['build'], ['validate', '--without-profile']):
        result = traincraft(*command, path)
        assert result.exit_code == 0, result.output
        assert 'test_set.systems[0] (test): source "aiida" is read from a profile at launch' in result.output
    assert not (tmp_path / 'runs/small/geometry/test.extxyz').exists()


def test_valid(traincraft):
    result = traincraft('validate', '--without-profile', 'small.toml', EXAMPLES / 'silicon_qe.toml')
    assert result.exit_code == 0, result.output
    assert 'small.toml: valid; 3 systems, 11 starting structures' in result.output


def test_all_errors_of_all_files_at_once(traincraft, edited):
    keys = edited(('seed = 3', 'seed = -3'), ('stdev = 0.05', 'stdef = 0.05'), name='keys.toml')
    built = edited(('"Cu", "Au"', '"Cu", "Fe"'), ('a = 4.1', 'a = 4.1, vacancies = 1'), name='built.toml')
    result = traincraft('validate', '--without-profile', keys, 'small.toml', built, 'absent.toml')
    assert result.exit_code == 1
    for text in (
        'run.seed: ', 'systems[0].geometry.transforms[0].stdef: unknown key', "did you mean 'stdev'?",
        'small.toml: valid', "calculator 'emt' does not know Fe", 'test_set.systems[0].geometry: "vacancies"',
        'absent.toml: no such file',
    ):  # fmt: skip
        assert text in result.output
    assert 'Traceback' not in result.output


def test_sampler_that_needs_forces_of_dft(traincraft, tmp_path):
    text = (EXAMPLES / 'silicon_qe.toml').read_text()
    sampler = 'sampling = { type = "rattle", n = 10, stdev = 0.08, strain = 0.02 }'
    assert sampler in text
    (tmp_path / 'md.toml').write_text(text.replace(sampler, 'sampling = { type = "md", temperature = 300.0 }'))
    result = traincraft('validate', 'md.toml')
    assert result.exit_code == 1
    assert 'test_set.systems[0].sampling: "md" needs forces before there is a potential' in result.output


def test_elements_that_no_system_trains(traincraft, edited):
    result = traincraft('validate', edited(('name = "Au", a = 4.1', 'name = "Al", a = 4.05')))
    assert result.exit_code == 1
    assert 'test_set: elements that no system trains: Al' in result.output
