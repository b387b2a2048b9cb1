"""What the documentation shows works as it stands; snippets that ask a database are in ``tests/provenance``."""

from __future__ import annotations

import importlib
import json
import os
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from click.testing import CliRunner

from aiida_traincraft.calculations.science_zip import science_zip
from aiida_traincraft.cli import main
from aiida_traincraft.science import registry
from aiida_traincraft.science.baselines import make_baseline
from aiida_traincraft.science.config.systems import GeometryConfig
from aiida_traincraft.science.config.training.pace_linear import PaceLinearTraining
from aiida_traincraft.science.geometry import build_geometry

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / 'src' / 'aiida_traincraft'
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').glob('*.md'))]
PATHS = re.compile(r'`((?:science|data|calculations|parsers|workchains|launch|exchange|provenance)/[\w/.]+)`')
VALIDATE = 'from aiida_traincraft.cli import main; main()'
# What a job does with plugin files.
BUILD_IN_A_JOB = """
import json
import sys

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.systems import GeometryConfig
from aiida_traincraft.science.geometry import build_geometry

registry.load_plugins(sys.argv[2:])
for builder in json.loads(sys.argv[1]):
    print(build_geometry(GeometryConfig.model_validate({'builder': builder})).formula)
assert 'aiida' not in sys.modules
"""


def block(page: str, language: str, *needed: str) -> str:
    """The one code block of a page that holds some texts."""
    found = re.findall(rf'```{language}\n(.*?)```', (ROOT / page).read_text(), re.DOTALL)
    (only,) = (text for text in found if all(item in text for item in needed))
    return only


def python(script: str, *arguments: object, folder: Path, **environment: str) -> str:
    """Output of a new Python."""
    done = subprocess.run(
        [sys.executable, '-c', script, *map(str, arguments)],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def traincraft(*arguments: str) -> str:
    """Output of the command, in this process."""
    result = CliRunner(env={'COLUMNS': '200'}).invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty folder to work in; what is registered there is forgotten."""
    monkeypatch.chdir(tmp_path)
    # A module that is imported once registers its plugin once.
    registry.plugins()
    monkeypatch.setattr(registry, '_plugins', dict(registry._plugins))
    monkeypatch.setattr(registry, '_loaded', set(registry._loaded))
    return tmp_path


def test_builders_that_are_shown_are_found_checked_and_travel(folder):
    (folder / 'octahedron.py').write_text(block('CONTRIBUTING.md', 'python', 'Octahedron'))
    (folder / 'cluster.toml').write_text(block('CONTRIBUTING.md', 'toml', 'octahedron.py'))
    (folder / 'chain.py').write_text(block('docs/geometry.md', 'python', 'ChainConfig'))
    assert 'Octahedral cluster of an fcc metal' in traincraft('plugins', 'octahedron.py')
    assert 'Distance of neighbours (Å)' in traincraft('plugins', 'chain.py', '--keys', 'chain')
    schema = json.loads(traincraft('schema', 'chain.py', '--kind', 'builder', '--name', 'chain'))
    assert set(schema['properties']) == {'type', 'name', 'n', 'distance'}
    builders = [
        {'type': 'octahedron', 'name': 'Cu', 'length': 4, 'truncation': 1, 'a': 3.6},
        {'type': 'chain', 'name': 'C', 'n': 5, 'distance': 1.3},
    ]
    archive = folder / 'traincraft.zip'
    archive.write_bytes(science_zip())
    made = python(
        BUILD_IN_A_JOB, json.dumps(builders), 'octahedron.py', 'chain.py', folder=folder, PYTHONPATH=str(archive)
    )
    assert made.split() == ['Cu38', 'C5']


def test_a_baseline_of_ones_own(folder):
    (folder / 'morse.py').write_text(block('docs/pacemaker.md', 'python', 'MorseConfig'))
    assert 'Morse potential between two elements' in traincraft('plugins', 'morse.py')
    table = {'type': 'morse', 'elements': ['H', 'O'], 'depth': 4.6, 'distance': 0.96, 'width': 2.2, 'cutoff': 3.0}
    dimer = Atoms('OH', [[0, 0, 0], [0, 0, 1.1]])
    dimer.calc = make_baseline(table)
    decay = np.exp(-2.2 * (1.1 - 0.96))
    assert dimer.get_potential_energy() == pytest.approx(4.6 * (decay**2 - 2 * decay) * (1 - (1.1 / 3.0) ** 2) ** 2)
    energies = [dimer.calc.get_property('energy', Atoms('OH', [[0, 0, 0], [0, 0, r]])) for r in (1.1001, 1.0999)]
    assert dimer.get_forces()[1, 2] == pytest.approx(-(energies[0] - energies[1]) / 2e-4, abs=1e-6)
    config = tomllib.loads(block('docs/pacemaker.md', 'toml', 'type = "lj"'))['training']
    assert PaceLinearTraining.model_validate(config).baseline.known_pairs() == {('Cu', 'Cu')}


def test_a_campaign_is_checked_where_aiida_was_never_set_up(folder):
    (folder / 'octahedron.py').write_text(block('CONTRIBUTING.md', 'python', 'Octahedron'))
    (folder / 'cluster.toml').write_text(block('CONTRIBUTING.md', 'toml', 'octahedron.py'))
    told = python(VALIDATE, 'validate', 'cluster.toml', folder=folder, AIIDA_PATH=str(folder / 'none'))
    assert 'cluster.toml: valid; 2 systems, 2 starting structures' in told
    assert 'without a profile: codes, pseudopotentials and stored potentials are not checked' in told


def test_a_labeller_of_contributing(folder, monkeypatch):
    (folder / 'pair_springs').mkdir()
    for name, text in (('config', '(LabellerConfig)'), ('label', '(Labeller[')):
        (folder / 'pair_springs' / f'{name}.py').write_text(block('CONTRIBUTING.md', 'python', text))
    monkeypatch.syspath_prepend(folder)
    section, base = (
        getattr(importlib.import_module(f'pair_springs.{module}'), name)
        for module, name in (('config', 'SpringsLabelling'), ('label', 'LabelSpringsWorkChain'))
    )
    assert registry.get('labeller', 'springs').summary == 'Every pair of atoms on a spring.'
    steps = {'run_jobs': lambda self: None, 'results': lambda self: None}
    workchain = type('LabelSprings', (base,), steps)
    assert {'structures', 'config', 'codes'} <= set(workchain.spec().inputs)
    assert {'manifest', 'ledger'} == set(workchain.spec().outputs)
    hooks = workchain.hooks(section(stiffness={'Cu': 2.0}), 'labelling')
    assert hooks.roles == ('ase',)
    (issue,) = hooks.check_elements(frozenset({'Cu', 'Au'}), {})
    assert str(issue) == 'labelling.stiffness: give that of Au too'
    assert hooks.check_elements(frozenset({'Cu'}), {}) == []
    assert hooks.complete(frozenset({'Cu'}), folder).section['max_failed_fraction'] == 0.1
    assert hooks.level_of_theory({}, frozenset()) == {'type': 'springs', 'stiffness': {'Cu': 2.0}}


def test_stages_without_aiida_on_the_campaign_of_the_readme(folder, capsys):
    for name in ('nickel.toml', 'campaign.toml'):
        (folder / name).write_text(block('README.md', 'toml', 'name = "nickel"'))
    bulk('Ni', 'fcc', a=3.5, cubic=True).write(folder / 'ni.cif')
    assert 'valid; 4 systems, 4 starting structures' in traincraft('validate', '--without-profile', 'nickel.toml')
    exec(compile(block('README.md', 'python', 'run_funnel'), 'README.md', 'exec', dont_inherit=True), {})
    assert capsys.readouterr().out == 'Ni31 2 2\n'
    exec(compile(block('docs/python.md', 'python', 'run_sampling'), 'python.md', 'exec', dont_inherit=True), {})
    formulas, volumes = zip(*(line.split() for line in capsys.readouterr().out.splitlines()), strict=True)
    assert set(formulas) == {'Ni4'}
    assert len(set(volumes)) == 5


def test_the_crystal_of_ones_own_of_the_readme(folder):
    bulk('Pd', 'fcc', a=3.89, cubic=True).write(folder / 'own.cif')
    systems = tomllib.loads(block('README.md', 'toml', 'own.cif'))['systems']
    formulas = [build_geometry(GeometryConfig.model_validate(system['geometry'])).formula for system in systems]
    assert formulas == ['Pd20', 'HPd63']


def test_the_gallery_has_every_plugin():
    kinds = runpy.run_path(str(ROOT / 'docs' / 'gallery.py'))['KINDS']
    page = (ROOT / 'docs' / 'gallery.md').read_text()
    for plugin in registry.plugins():
        if plugin.is_builtin and plugin.kind in kinds:
            assert f'### `{plugin.name}`\n\n{plugin.summary}\n' in page
            assert f'```toml\n{plugin.example}```' in page


def test_the_tree_of_contributing_is_that_of_the_package():
    (tree,) = re.findall(r'```\nsrc/aiida_traincraft/\n(.*?)```', (ROOT / 'CONTRIBUTING.md').read_text(), re.DOTALL)
    entries = [re.match(r'( +)([\w.]+)/? ', line) for line in tree.splitlines()]
    floors, rooms = ({entry[2] for entry in entries if entry and len(entry[1]) == depth} for depth in (4, 8))
    assert len(floors) + len(rooms) == len(entries)
    assert floors == {path.parent.name for path in PACKAGE.glob('*/__init__.py')} | {'__init__.py'}
    assert rooms == {path.parent.name for path in PACKAGE.glob('science/*/__init__.py')}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_links_and_paths_lead_somewhere(page):
    text = page.read_text()
    for target, anchor in re.findall(r'\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)', text):
        path = page.parent / target if target else page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r'^#+ (.*)$', path.read_text(), re.MULTILINE)
            assert anchor in [re.sub(r'[^\w\- ]', '', heading).lower().replace(' ', '-') for heading in headings]
    for name in PATHS.findall(text):
        assert (PACKAGE / name).exists(), name
