"""Libraries of single plugins: without one, its plugins say how to get it, and everything else works."""

from __future__ import annotations

import subprocess
import sys
import tomllib

import pytest

from aiida_traincraft.science.config.systems import GeometryConfig
from aiida_traincraft.science.geometry import build_geometries
from aiida_traincraft.science.optional import LIBRARIES, MissingLibraryError

LIQUID = '[builder]\ntype = "liquid"\ndensity = 1.0\nspecies = [{ name = "H2O", count = 2 }]'
SQS = '[builder]\ntype = "alloy"\nname = "Cu"\ncubic = true\nmethod = "sqs"\ncomposition = { Cu = 0.5, Au = 0.5 }'
RANDOM = '[builder]\ntype = "random_crystal"\nspacegroup = 225\ncomposition = { Na = 4, Cl = 4 }'
SMILES = '[source]\ntype = "smiles"\nsmiles = "CCO"'


@pytest.mark.parametrize(
    ('library', 'table'), [('packmol', LIQUID), ('sqsgenerator', SQS), ('pyxtal', RANDOM), ('rdkit', SMILES)]
)
def test_a_plugin_without_its_library_says_how_to_get_it(monkeypatch, library, table):
    for name in [name for name in sys.modules if name.partition('.')[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    config = GeometryConfig.model_validate(tomllib.loads(table))
    with pytest.raises(MissingLibraryError, match=rf'pip install "{LIBRARIES[library]}"'):
        build_geometries(config)


def test_everything_else_works_without_any():
    code = f"""
import sys
for name in {sorted(LIBRARIES)!r}:
    sys.modules[name] = None
from aiida_traincraft.science import registry
from aiida_traincraft.science.config.systems import GeometryConfig
from aiida_traincraft.science.geometry import build_geometry
slab = {{'type': 'slab', 'name': 'Cu', 'facet': 'fcc111', 'size': (2, 2, 3)}}
print(len(build_geometry(GeometryConfig.model_validate({{'builder': slab}}))))
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '12'
