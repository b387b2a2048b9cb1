"""Source ``file``: several files, slices, molecules, and files that hold no structure."""

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from pydantic import ValidationError

from aiida_traincraft.science.atoms.fragments import get_fragments
from aiida_traincraft.science.config.systems import GeometryConfig
from aiida_traincraft.science.geometry import build_geometries
from aiida_traincraft.science.geometry.sources.file import FileSourceConfig, read_file
from aiida_traincraft.science.structure import Structure, write_frames
from aiida_traincraft.science.workspace import Workspace


@pytest.fixture
def workspace(tmp_path):
    ase.io.write(tmp_path / 'cu.extxyz', [bulk('Cu', a=3.5 + 0.01 * k, cubic=True) for k in range(25)])
    ase.io.write(tmp_path / 'au.cif', bulk('Au', a=4.08, cubic=True))
    return Workspace(tmp_path)


def read(workspace, **keys):
    return read_file(FileSourceConfig(**keys), workspace, np.random.default_rng(0))


@pytest.mark.parametrize(
    ('index', 'expected'),
    [
        (-1, [24]),
        (3, [3]),
        ('::10', [0, 10, 20]),
        (':', list(range(25))),
        ('-3:', [22, 23, 24]),
        ('20::-10', [20, 10, 0]),
    ],
)
def test_index_and_slices(workspace, index, expected):
    lengths = [structure.atoms.cell[0, 0] for structure in read(workspace, path='cu.extxyz', index=index)]
    assert lengths == pytest.approx([3.5 + 0.01 * k for k in expected])


def test_several_files_of_several_formats_and_variants_are_counted(workspace):
    source = {'type': 'file', 'paths': ['cu.extxyz', 'au.cif'], 'index': '-2:'}
    structures = build_geometries(GeometryConfig.model_validate({'source': source}), workspace)
    assert [structure.formula for structure in structures] == ['Cu4', 'Cu4', 'Au4']
    assert [structure.provenance['variant'] for structure in structures] == [0, 1, 2]
    assert not any(structure.atoms.info for structure in structures)


def test_molecules_are_kept_or_inferred(workspace):
    pair = molecule('H2O')
    other = molecule('CH4')
    other.positions += [6.0, 0, 0]
    pair += other
    ase.io.write(workspace.root / 'plain.extxyz', pair)
    pair.set_array('tc_fragment', np.array([1.0] * 8))
    ase.io.write(workspace.root / 'one.extxyz', pair)
    (plain,) = read(workspace, path='plain.extxyz')
    assert 'tc_fragment' not in plain.atoms.arrays
    (kept,) = read(workspace, path='one.extxyz')
    assert kept.atoms.arrays['tc_fragment'].tolist() == [1] * 8
    assert kept.atoms.arrays['tc_fragment'].dtype.kind == 'i'
    for name in ('plain.extxyz', 'one.extxyz'):
        (inferred,) = read(workspace, path=name, fragments='infer')
        assert get_fragments(inferred.atoms).tolist() == [0] * 3 + [1] * 5
    (metal,) = read(workspace, path='cu.extxyz', fragments='infer')
    assert set(get_fragments(metal.atoms)) == {-1}


def broken(**changes):
    atoms = bulk('Cu', cubic=True)
    for name, value in changes.items():
        if name == 'cell':
            atoms.set_cell(value)
        elif name == 'positions':
            atoms.positions[0] = value
        else:
            atoms.set_array(name, value)
    return atoms


@pytest.mark.parametrize(
    ('atoms', 'message'),
    [
        (broken(positions=np.nan), 'not finite'),
        (broken(cell=[[3, 0, 0], [6, 0, 0], [0, 0, 3]]), 'periodic direction without a cell vector'),
        (broken(tc_fragment=np.array([0.5, 0, 0, 0])), 'one whole number per atom'),
        (broken(tc_fragment=np.zeros((4, 3))), 'one whole number per atom'),
        (broken(tc_fragment=np.array(list('abcd'))), 'one whole number per atom'),
    ],
)
@pytest.mark.parametrize('fragments', ['keep', 'infer'])
def test_files_that_hold_no_structure(workspace, atoms, message, fragments):
    ase.io.write(workspace.root / 'broken.extxyz', atoms)
    with pytest.raises(ValueError, match=f'broken.extxyz has .*{message}'):
        read(workspace, path='broken.extxyz', fragments=fragments)


def test_what_is_not_there(workspace):
    with pytest.raises(ValueError, match=r'"paths": there is no file .nowhere\.cif.'):
        read(workspace, paths=('au.cif', 'nowhere.cif'))
    with pytest.raises(ValueError, match=r'"index": cu\.extxyz has 25 frames, of which .30:. takes none'):
        read(workspace, path='cu.extxyz', index='30:')
    ase.io.write(workspace.root / 'none.extxyz', Atoms())
    with pytest.raises(ValueError, match=r'none\.extxyz'):
        read(workspace, path='none.extxyz')


@pytest.mark.parametrize('name', ['a.extxyz.gz', 'POSCAR', 'XDATCAR', 'a.cube', 'a.cfg', 'a.xyz.xz'])
def test_formats_that_say_how_many_atoms(workspace, name):
    atoms = bulk('Cu', a=3.6, cubic=True)
    ase.io.write(workspace.root / name, atoms)
    for structure in read(workspace, path=name, index=':'):
        assert structure.atoms.get_all_distances(mic=True) == pytest.approx(
            atoms.get_all_distances(mic=bool(structure.atoms.pbc.any())), abs=1e-5
        )


def test_lammps(workspace):
    ase.io.write(workspace.root / 'data.cu', bulk('Cu', cubic=True), format='lammps-data')
    assert len(read(workspace, path='data.cu', format='lammps-data')[0].atoms) == 4
    (workspace.root / 'data.cu').write_text('Cu\n\n1000000000 atoms\n1 atom types\n0 3 xlo xhi\n')
    with pytest.raises(ValueError, match=r'"path": data\.cu asks for 1e\+09 atoms'):
        read(workspace, path='data.cu', format='lammps-data')
    late = 'ITEM: TIMESTEP\n900000000\nITEM: NUMBER OF ATOMS\n1\nITEM: BOX BOUNDS pp pp pp\n0 3\n0 3\n0 3\n'
    (workspace.root / 'late.lammpstrj').write_text(late + 'ITEM: ATOMS id type x y z\n1 1 0 0 0\n')
    assert len(read(workspace, path='late.lammpstrj', species=('Cu',))[0].atoms) == 1


def test_a_name_with_an_at_sign_is_no_index(workspace):
    ase.io.write(workspace.root / 'au@0.extxyz', bulk('Au'))
    ase.io.write(workspace.root / 'cu.extxyz@0', bulk('Au'), format='extxyz')
    for name in ('au@0.extxyz', 'cu.extxyz@0'):
        assert [structure.formula for structure in read(workspace, path=name, format='extxyz')] == ['Au']


def test_frames_are_exact(workspace):
    atoms = bulk('Cu', cubic=True)
    atoms.positions += np.random.default_rng(1).normal(0, 0.1, (4, 3))
    write_frames(workspace.root / 'cu.frames', [Structure(atoms, {'energy': 1.0}, {'system': 'bulk'})])
    config = GeometryConfig.model_validate({'source': {'type': 'frames', 'path': 'cu.frames'}})
    (structure,) = build_geometries(config, workspace)
    assert (structure.atoms.positions == atoms.positions).all()
    assert (structure.atoms.cell.array == atoms.cell.array).all()
    assert structure.properties == {}
    write_frames(workspace.root / 'none.frames', [])
    with pytest.raises(ValueError, match=r'"path": none\.frames holds no frame'):
        build_geometries(
            GeometryConfig.model_validate({'source': {'type': 'frames', 'path': 'none.frames'}}), workspace
        )


@pytest.mark.parametrize(
    'keys',
    [
        {},
        {'path': 'a', 'paths': ('b',)},
        {'paths': ()},
        {'path': 'a', 'index': 'last'},
        {'path': 'a', 'index': '::0'},
        {'path': 'a', 'index': '1:2:3:4'},
        {'path': 'a', 'index': '9' * 30 + ':'},
        {'path': 'a', 'index': 1.5},
        {'path': 'a', 'fragments': 'guess'},
    ],
)
def test_config(keys):
    with pytest.raises(ValidationError):
        FileSourceConfig(**keys)


CIF = """data_partial
_cell_length_a 4.0
_cell_length_b 4.0
_cell_length_c 4.0
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
"""


@pytest.mark.parametrize(
    ('sites', 'told'),
    [
        ('Ni1 Ni 0 0 0 0.5\nAl1 Al 0 0 0 0.5\n', 'Ni 0.5, Al 0.5'),
        ('Ni1 Ni 0 0 0 1.0\nAl1 Al 0.5 0.5 0.5 0.9\n', 'Al 0.9'),
        ('Ni1 Ni 0 0 0 1.0\nAl1 Al 0.5 0.5 0.5 1.0\n', None),
    ],
)
def test_partly_occupied_sites_are_refused(tmp_path, sites, told):
    (tmp_path / 'cell.cif').write_text(CIF + sites)
    config = FileSourceConfig(path=str(tmp_path / 'cell.cif'))
    if told is None:
        (found,) = read_file(config, None, np.random.default_rng(0))
        assert found.formula == 'AlNi'
    else:
        with pytest.raises(ValueError, match=f'cell.cif has a partly occupied site .{told}'):
            read_file(config, None, np.random.default_rng(0))


DUMP = """ITEM: TIMESTEP
0
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp pp
0.0 3.0
0.0 3.0
0.0 3.0
ITEM: ATOMS id {columns} x y z
1 {first} 0.0 0.0 0.0
2 {second} 1.5 1.5 1.5
"""


def test_types_of_lammps_need_their_elements(tmp_path):
    path = tmp_path / 'in.dump'
    path.write_text(DUMP.format(columns='type', first='1', second='2'))

    def read(**keys):
        return read_file(FileSourceConfig(path=str(path), **keys), None, np.random.default_rng(0))

    with pytest.raises(ValueError, match=r'names no elements but types 1 to 2: give their elements'):
        read()
    with pytest.raises(ValueError, match='has the type 2, and 1 elements are given'):
        read(species=('Ni',))
    with pytest.raises(ValueError, match="'Xq' is no chemical element"):
        read(species=('Ni', 'Xq'))
    assert read(species=('Ni', 'Al'))[0].atoms.get_chemical_symbols() == ['Ni', 'Al']
    path.write_text(DUMP.format(columns='type element', first='1 Cu', second='2 Zn'))
    assert read()[0].atoms.get_chemical_symbols() == ['Cu', 'Zn']
    with pytest.raises(ValueError, match='is no LAMMPS dump without elements'):
        read(species=('Ni', 'Al'))


@pytest.mark.parametrize('suffix', ['gz', 'bz2', 'xz'])
def test_what_a_compressed_file_may_become_is_limited(workspace, suffix):
    name = f'large.extxyz.{suffix}'
    ase.io.write(workspace.root / name, [bulk('Cu', cubic=True)] * 1000)
    assert (workspace.root / name).stat().st_size < 10_000
    assert len(read(workspace, path=name, index=':')) == 1000
    with pytest.raises(ValueError, match=r'large.* unpacks to more than 100000 bytes: raise "max_unpacked"'):
        read(workspace, path=name, index=':', max_unpacked=100_000)
    assert len(read(workspace, path='cu.extxyz', max_unpacked=1)) == 1
