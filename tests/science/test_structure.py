"""Structure: content hash, exact records, extended XYZ."""

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT

from aiida_traincraft.science.structure import (
    Structure,
    from_record,
    iterate_records,
    pack_arrays,
    read_extxyz,
    read_frames,
    to_record,
    unpack_arrays,
    write_extxyz,
    write_frames,
)


@pytest.fixture
def structure():
    atoms = bulk('NaCl', 'rocksalt', a=5.6, cubic=True)
    atoms.positions[0] += 0.1 / 3
    atoms.pbc = [True, True, False]
    atoms.set_array('tc_fragment', np.arange(8))
    atoms.set_initial_magnetic_moments(np.linspace(-1, 1, 8))
    rng = np.random.default_rng(0)
    properties = {
        'energy': -1.0 / 3,
        'forces': rng.normal(size=(8, 3)),
        'stress': rng.normal(size=6),
        'dipole': rng.normal(size=3),
        'polarizability': rng.normal(size=(3, 3)),
        'uncertainty': rng.random(8),
        'descriptor': rng.random(17),
    }
    return Structure(atoms, properties, {'system': 'salt', 'seed': 3, 'temperature': 300.5, 'nested': {'a': [1, 'x']}})


def assert_equal(left, right, exact=True):
    compare = np.array_equal if exact else lambda a, b: np.allclose(a, b, atol=1e-7)
    assert left.atoms.numbers.tolist() == right.atoms.numbers.tolist()
    assert left.atoms.pbc.tolist() == right.atoms.pbc.tolist()
    assert compare(left.atoms.cell.array, right.atoms.cell.array)
    assert left.atoms.arrays.keys() == right.atoms.arrays.keys()
    for key, value in left.atoms.arrays.items():
        assert compare(value, right.atoms.arrays[key]), key
    assert left.properties.keys() == right.properties.keys()
    for key, value in left.properties.items():
        assert np.shape(value) == np.shape(right.properties[key])
        assert compare(value, right.properties[key]), key
    assert left.provenance == right.provenance


def test_hash_ignores_dtype_and_the_sign_of_zero():
    atoms = Atoms('H2', positions=[[0, 0, 0], [0, 0, 1]], cell=[4, 4, 4], pbc=True)
    reference = Structure(atoms).content_hash()
    negative = atoms.copy()
    negative.positions[0] = -0.0
    negative.cell[0, 1] = -0.0
    # Rounds to zero from below.
    negative.positions[1, 0] = -1e-9
    assert Structure(negative).content_hash() == reference
    single = atoms.copy()
    single.arrays['positions'] = single.positions.astype('f4')
    single.arrays['numbers'] = single.numbers.astype('i8')
    assert Structure(single).content_hash() == reference
    strided = atoms.copy()
    strided.arrays['positions'] = np.asfortranarray(strided.positions)
    assert Structure(strided).content_hash() == reference


def test_hash_tells_geometries_apart():
    atoms = bulk('Cu', cubic=True)
    variants = [atoms.copy() for _ in range(6)]
    variants[1].positions[0, 0] += 2e-4
    variants[2].cell[0, 0] += 2e-4
    variants[3].pbc[2] = False
    variants[4].numbers[0] = 28
    variants[5] = atoms.repeat((1, 1, 2))
    assert len({Structure(variant).content_hash() for variant in variants}) == 6


def test_hash_ignores_what_is_no_geometry(structure):
    assert structure.content_hash() == structure.bare().content_hash()
    below = structure.copy()
    below.atoms.positions[0, 0] += 1e-7
    assert below.content_hash() == structure.content_hash()


def test_formula_elements_length(structure):
    assert (structure.formula, structure.elements, len(structure)) == ('Cl4Na4', ['Cl', 'Na'], 8)


def test_copy_shares_nothing(structure):
    reference, twin = structure.copy(), structure.copy()
    twin.atoms.positions += 1
    twin.atoms.arrays['tc_fragment'][0] = 99
    twin.properties['forces'][0] = 99
    twin.provenance['nested']['a'].append(1)
    assert_equal(structure, reference)


def test_record_round_trip_is_exact(structure):
    back = from_record(to_record(structure))
    assert_equal(structure, back)
    assert back.content_hash() == structure.content_hash()
    assert isinstance(back.properties['energy'], float)
    assert back.properties['forces'].dtype == np.float64
    back.properties['forces'][0] = 1
    back.atoms.positions[0] = 1
    back.atoms.arrays['tc_fragment'][0] = 1


def test_record_of_a_molecule_and_of_nothing():
    for atoms in (molecule('H2O'), Atoms()):
        assert_equal(Structure(atoms), from_record(to_record(Structure(atoms))))


def test_record_is_reproducible(structure):
    assert to_record(structure) == to_record(structure.copy())


def test_record_of_big_endian_and_strided_arrays():
    values = {
        'big': np.arange(4.0).astype('>f8'),
        'strided': np.arange(12).reshape(3, 4).T,
        'text': np.array(['a', 'bc']),
    }
    arrays, info = unpack_arrays(pack_arrays(values, {'x': 1}))
    assert info == {'x': 1}
    for key, value in values.items():
        assert np.array_equal(arrays[key], value)


def test_what_has_no_bytes_is_refused():
    # The bytes of an object array are addresses.
    with pytest.raises(ValueError, match="array 'energy' holds Python objects"):
        pack_arrays({'energy': np.asarray(None)})


@pytest.mark.parametrize('record', [b'', b'\x05', b'\x02\x00\x00\x00[]', b'\xff' * 20, b'\x04\x00\x00\x00null'])
def test_no_record(record):
    with pytest.raises(ValueError, match='not a frame record'):
        unpack_arrays(record)


def test_truncated_record(structure):
    record = to_record(structure)
    with pytest.raises(ValueError, match='truncated inside array'):
        from_record(record[:-1])
    with pytest.raises(ValueError, match='not a frame record'):
        from_record(record[:50])


def test_frame_file_round_trip(structure, tmp_path):
    path = tmp_path / 'some.frames'
    frames = [structure, Structure(molecule('CH4')), structure.bare()]
    write_frames(path, frames)
    for left, right in zip(frames, read_frames(path), strict=True):
        assert_equal(left, right)
    write_frames(path, [])
    assert read_frames(path) == []


@pytest.mark.parametrize('cut', [1, 100, 'head'])
def test_truncated_frame_file(structure, tmp_path, cut):
    path = tmp_path / 'some.frames'
    write_frames(path, [structure, structure])
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[: size // 2 + 3 if cut == 'head' else size - cut])
    with pytest.raises(ValueError, match=r'some\.frames is truncated'):
        read_frames(path)


def test_file_that_is_no_frame_file(tmp_path):
    path = tmp_path / 'some.frames'
    path.write_text('this is plain text and its first bytes are no sensible length')
    with pytest.raises(ValueError, match='truncated'):
        list(iterate_records(path))


def test_extxyz_round_trip(structure, tmp_path):
    path = tmp_path / 'some.extxyz'
    frames = [structure, Structure(molecule('CH4'), {'energy': 2.5}), Structure(bulk('Cu'))]
    write_extxyz(path, frames)
    for left, right in zip(frames, read_extxyz(path), strict=True):
        assert_equal(left, right, exact=False)
    assert [s.formula for s in read_extxyz(path, slice(1, 2))] == ['CH4']


def test_extxyz_is_read_by_others(structure, tmp_path):
    path = tmp_path / 'some.extxyz'
    write_extxyz(path, [structure])
    atoms = ase.io.read(path)
    assert atoms.info['REF_energy'] == pytest.approx(-1 / 3)
    assert atoms.arrays['REF_forces'].shape == (8, 3)
    assert atoms.arrays['tc_fragment'].tolist() == list(range(8))


def test_extxyz_with_ase_keys(tmp_path):
    atoms = bulk('Cu', cubic=True)
    atoms.rattle(0.1)
    atoms.calc = EMT()
    energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
    path = tmp_path / 'other.extxyz'
    ase.io.write(path, atoms)
    structure = read_extxyz(path)[0]
    assert structure.atoms.calc is None
    assert structure.properties['energy'] == pytest.approx(energy)
    assert structure.properties['forces'] == pytest.approx(forces, abs=1e-7)
    assert structure.properties['stress'] == pytest.approx(stress, abs=1e-7)


def test_writing_leaves_the_structure_alone(structure, tmp_path):
    reference = structure.copy()
    write_extxyz(tmp_path / 'some.extxyz', [structure])
    assert_equal(structure, reference)
