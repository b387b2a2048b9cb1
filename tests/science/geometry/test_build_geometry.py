"""From config to structure: order, seeds, sources."""

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms

from aiida_traincraft.science.config.systems import GeometryConfig
from aiida_traincraft.science.geometry import build_geometry
from aiida_traincraft.science.workspace import Workspace

CRYSTAL = {'type': 'crystal', 'name': 'Cu', 'a': 3.6, 'cubic': True}


def build(seed=0, workspace=None, **config):
    return build_geometry(GeometryConfig.model_validate(config), workspace, seed)


def test_same_seed_same_structure():
    config = {
        'builder': CRYSTAL | {'repeat': [2, 2, 2], 'vacancies': 2},
        'transforms': [{'type': 'perturb', 'stdev': 0.1}],
    }
    first, again, other = build(3, **config), build(3, **config), build(4, **config)
    assert np.array_equal(first.atoms.positions, again.atoms.positions)
    assert first.content_hash() == again.content_hash() != other.content_hash()


def test_each_step_has_its_own_random_numbers():
    stdev = {'type': 'perturb', 'stdev': 0.1}
    builder = CRYSTAL | {'repeat': [2, 2, 2]}
    full = build(3, builder=builder, transforms=[stdev])
    holey = build(3, builder=builder | {'vacancies': 1}, transforms=[{'type': 'strain', 'hydrostatic': 0.0}, stdev])
    assert len(holey) == len(full) - 1
    twice = build(3, builder=builder, transforms=[stdev, stdev]).atoms.positions
    perfect = build(3, builder=builder).atoms.positions
    moved = full.atoms.positions - perfect
    assert not np.allclose(twice - full.atoms.positions, moved)


def test_transforms_run_in_the_order_given():
    repeat = {'type': 'supercell', 'repeat': [2, 1, 1]}
    perturb = {'type': 'perturb', 'stdev': 0.1}
    periodic = build(builder=CRYSTAL, transforms=[perturb, repeat]).atoms
    free = build(builder=CRYSTAL, transforms=[repeat, perturb]).atoms
    assert np.allclose(periodic.positions[4:] - periodic.positions[:4], [3.6, 0, 0])
    assert not np.allclose(free.positions[4:] - free.positions[:4], [3.6, 0, 0])


def test_provenance_names_the_steps():
    structure = build(builder=CRYSTAL, transforms=[{'type': 'perturb', 'stdev': 0.1}])
    assert structure.provenance == {'origin': 'crystal', 'transforms': ['perturb']}
    assert structure.properties == {}


@pytest.fixture
def crystal_file(tmp_path):
    atoms = bulk('Cu', a=3.6, cubic=True)
    atoms.set_array('tc_fragment', np.array([0, 0, 1, 1]))
    atoms.set_initial_magnetic_moments([1, 2, 3, 4])
    atoms.set_constraint(FixAtoms([0]))
    frames = []
    for factor in (1.0, 1.1):
        frame = atoms.copy()
        frame.set_cell(atoms.cell * factor, scale_atoms=True)
        frame.calc = EMT()
        frame.get_potential_energy()
        frames.append(frame)
    path = tmp_path / 'cu.extxyz'
    ase.io.write(path, frames)
    return path


def test_file_keeps_arrays_and_drops_results(crystal_file):
    structure = build(source={'type': 'file', 'path': str(crystal_file)})
    assert structure.atoms.cell.lengths() == pytest.approx([3.96] * 3)
    assert structure.atoms.arrays['tc_fragment'].tolist() == [0, 0, 1, 1]
    assert structure.atoms.get_initial_magnetic_moments().tolist() == [1, 2, 3, 4]
    assert structure.atoms.calc is None
    assert not structure.atoms.constraints
    assert structure.properties == {}


def test_file_index_and_path_relative_to_the_workspace(crystal_file):
    workspace = Workspace(crystal_file.parent)
    structure = build(workspace=workspace, source={'type': 'file', 'path': 'cu.extxyz', 'index': 0})
    assert structure.atoms.cell.lengths() == pytest.approx([3.6] * 3)


@pytest.mark.parametrize(
    ('source', 'message'),
    [
        ({'path': 'absent.xyz'}, "no file 'absent.xyz'.*absolute path, or one relative to"),
        ({'path': 'cu.extxyz', 'index': 7}, 'has no frame 7'),
        ({'path': 'cu.extxyz', 'index': -7}, 'has no frame -7'),
        ({'path': 'cu.extxyz', 'format': 'nonsense'}, "cannot be read as 'nonsense'.*ase info --formats"),
        ({'path': 'notes.txt'}, 'notes.txt cannot be read in a format found by its name'),
        ({'path': 'empty.xyz'}, r'empty.xyz'),
        ({'path': '.'}, 'no file'),
    ],
)
def test_unreadable_files(crystal_file, source, message):
    (crystal_file.parent / 'notes.txt').write_text('nothing of use\n')
    (crystal_file.parent / 'empty.xyz').write_text('')
    with pytest.raises(ValueError, match=message):
        build(workspace=Workspace(crystal_file.parent), source={'type': 'file'} | source)
