"""The fragment of every atom, from a file through building, sampling and selection to the database and back."""

from __future__ import annotations

import json

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from ase.build import fcc111, molecule
from ase.io import write

from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.science.atoms.fragments import FRAGMENT, get_fragments, molecules
from aiida_traincraft.science.calculators import make_calculator
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.config.selection import SelectionConfig
from aiida_traincraft.science.config.systems import GeometryConfig
from aiida_traincraft.science.geometry import build_geometries
from aiida_traincraft.science.sampling import sample
from aiida_traincraft.science.selection.funnel import run_funnel
from aiida_traincraft.science.structure import Structure, read_extxyz, write_extxyz
from aiida_traincraft.science.workspace import Workspace


@calcfunction
def keep(structure: orm.StructureData) -> orm.StructureData:
    """Same structure, as the output of a process."""
    return TrainingStructureData(structure.get_structure())


def bonds(structure: Structure, members: np.ndarray) -> np.ndarray:
    return structure.atoms.get_distances(members[0], members[1:], mic=True)


def test_fragments_from_a_file_to_the_database_and_back(tmp_path):
    slab = fcc111('Cu', (2, 2, 2), vacuum=6.0)
    guest = molecule('CO')
    guest.translate([1.3, 1.5, 10.6] - guest.positions[1])
    slab += guest
    slab.pbc = True
    write(tmp_path / 'start.extxyz', slab)
    geometry = {
        'source': {'type': 'file', 'path': 'start.extxyz', 'fragments': 'infer'},
        'transforms': [{'type': 'supercell', 'repeat': [2, 1, 1]}, {'type': 'sort', 'by': 'element'}],
    }
    (start,) = build_geometries(GeometryConfig.model_validate_json(json.dumps(geometry)), Workspace(tmp_path))
    expected = get_fragments(start.atoms).tolist()
    assert sorted(expected) == [-1] * 16 + [0, 0, 1, 1]
    calculator = parse_plugin('calculator', {'type': 'emt'})
    md = parse_plugin('sampler', {'type': 'md', 'temperature': 100.0, 'steps': 10, 'n': 2, 'min_distance': 0.2})
    by_md = sample(start, make_calculator(calculator), None, md, 1).frames
    moves = {'translate': 1.0, 'rotate': 1.0}
    monte_carlo = parse_plugin(
        'sampler', {'type': 'monte_carlo', 'temperature': 300.0, 'steps': 60, 'n': 3, 'moves': moves}
    )
    by_moves = sample(by_md[-1], make_calculator(calculator), None, monte_carlo, 1).frames
    selected = run_funnel(
        [*by_md, *by_moves], SelectionConfig.model_validate({'stages': [{'type': 'dedup'}, {'type': 'budget'}]})
    )
    assert len(selected) >= 2
    nodes = [keep(TrainingStructureData(frame)) for frame in selected]
    query = orm.QueryBuilder().append(TrainingStructureData, filters={'uuid': {'in': [node.uuid for node in nodes]}})
    found = [node.get_structure() for node in query.all(flat=True)]
    write_extxyz(tmp_path / 'end.extxyz', found)
    back = read_extxyz(tmp_path / 'end.extxyz')
    assert len(back) == len(selected)
    for structure in (*by_md, *by_moves, *selected, *found, *back):
        assert structure.atoms.arrays[FRAGMENT].tolist() == expected
        for members in molecules(structure.atoms):
            assert sorted(structure.atoms.symbols[members]) == ['C', 'O']
    for structure in by_moves:
        for members in molecules(structure.atoms):
            np.testing.assert_allclose(bonds(structure, members), bonds(by_md[-1], members), atol=1e-6)
