"""The science floor alone: from the source tree, and from the zip that is shipped with every job."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import aiida_traincraft
from aiida_traincraft.calculations.science_zip import science_zip

SOURCE = Path(aiida_traincraft.__file__).parents[1]

BLOCK = """
import sys


class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('aiida', 'plumpy', 'kiwipy'):
            raise ModuleNotFoundError(f'{name} is blocked', name=name)


sys.meta_path.insert(0, Blocker())
"""

IMPORT_ALL = """
import importlib
import pkgutil

import aiida_traincraft.science as science

names = [module.name for module in pkgutil.walk_packages(science.__path__, 'aiida_traincraft.science.')]
for name in names:
    importlib.import_module(name)
assert not {'aiida', 'pyace', 'tensorflow'} & sys.modules.keys()
print(len(names))
"""

PIPELINE = """
from aiida_traincraft.science.calculators import make_calculator
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.config.selection import SelectionConfig
from aiida_traincraft.science.config.systems import GeometryConfig
from aiida_traincraft.science.geometry import build_geometry
from aiida_traincraft.science.sampling import run_sampling
from aiida_traincraft.science.selection import run_funnel
from aiida_traincraft.science.workspace import Workspace
from pathlib import Path

geometry = GeometryConfig.model_validate(
    {
        'builder': {'type': 'crystal', 'name': 'Cu', 'crystalstructure': 'fcc', 'a': 3.6, 'cubic': True},
        'transforms': [{'type': 'supercell', 'repeat': [2, 1, 1]}],
    }
)
start = build_geometry(geometry, seed=1)
calculator = make_calculator(parse_plugin('calculator', {'type': 'emt'}))
sampler = parse_plugin('sampler', {'type': 'md', 'temperature': 500.0, 'steps': 20, 'n': 10})
frames = run_sampling(start, calculator, Workspace(Path(sys.argv[1])), sampler, seed=2)
stages = [{'type': 'physicality'}, {'type': 'dedup'}, {'type': 'random', 'n': 2}, {'type': 'diversity', 'n': 3}]
chosen = run_funnel(frames, SelectionConfig.model_validate({'budget': 5, 'stages': stages}))
import aiida_traincraft

print(len(frames), len(chosen), len(chosen[0]), aiida_traincraft.__file__)
"""


def run(script: str, path: Path, *arguments: str) -> list[str]:
    environment = os.environ | {'PYTHONPATH': str(path)}
    done = subprocess.run(
        [sys.executable, '-c', BLOCK + script, *arguments],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_every_module_can_be_imported():
    (count,) = run(IMPORT_ALL, SOURCE)
    expected = [path for path in (SOURCE / 'aiida_traincraft' / 'science').rglob('*.py') if path.name != '__init__.py']
    assert int(count) >= len(expected)


def test_pipeline(tmp_path):
    frames, chosen, atoms, file = run(PIPELINE, SOURCE, str(tmp_path))
    assert (frames, chosen, atoms) == ('10', '5', '8')
    assert Path(file).is_relative_to(SOURCE)


def test_the_same_from_the_shipped_zip(tmp_path):
    archive = tmp_path / 'traincraft.zip'
    archive.write_bytes(science_zip())
    run(IMPORT_ALL, archive)
    *figures, file = run(PIPELINE, archive, str(tmp_path))
    assert figures == ['10', '5', '8']
    assert Path(file).is_relative_to(archive)
