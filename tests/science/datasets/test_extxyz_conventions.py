from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from aiida_traincraft.science.datasets.extxyz import read_labelled
from aiida_traincraft.science.datasets.label_keys import LabelKeys
from aiida_traincraft.science.datasets.refusals import RefusedFrame
from aiida_traincraft.science.structure import ISOLATED_ATOM, Structure, write_extxyz

STRESS = np.array([0.01, 0.02, 0.03, 0.001, 0.002, 0.003])
VOLUME = float(bulk('Cu', cubic=True).cell.volume)
MATRIX = STRESS[[0, 5, 4, 5, 1, 3, 4, 3, 2]].reshape(3, 3)


def frame() -> tuple[Atoms, np.ndarray]:
    atoms = bulk('Cu', cubic=True)
    atoms.rattle(0.1, seed=1)
    forces = np.random.default_rng(2).normal(size=(4, 3))
    return atoms, forces - forces.mean(axis=0)


def read(path, **keys) -> tuple[list[Structure | RefusedFrame], LabelKeys]:
    used = LabelKeys(keys)
    return [found for found, _ in read_labelled(path, used)], used


@pytest.mark.parametrize(
    ('energy', 'forces', 'stress'),
    [
        ('REF_energy', 'REF_forces', 'REF_stress'),
        ('REF_energy', 'REF_forces', 'REF_virials'),
        ('energy', 'force', 'virial'),
        ('dft_energy', 'dft_force', 'dft_virial'),
        ('energy_corrected', 'forces', 'virials'),
    ],
    ids=['mace', 'mace-virials', 'dp-gen', 'gap', 'pacemaker'],
)
def test_known_conventions_are_found(tmp_path, energy, forces, stress):
    atoms, values = frame()
    atoms.info |= {energy: -1.5, 'config_type': 'rattled', 'temperature': 300.0}
    atoms.info[stress] = STRESS if 'stress' in stress else (-MATRIX * atoms.cell.volume).ravel()
    atoms.arrays[forces] = values
    path = tmp_path / 'data.extxyz'
    write(path, [atoms] * 2, format='extxyz', write_results=False)
    (one, two), keys = read(path)
    assert one.properties['energy'] == two.properties['energy'] == -1.5
    assert np.allclose(one.properties['forces'], values, atol=1e-7)
    assert np.allclose(one.properties['stress'], STRESS, atol=1e-7)
    assert one.provenance == {'system': 'rattled', 'info': {'temperature': 300.0}}
    assert keys.counts == {energy: 2, forces: 2, stress: 2, 'config_type': 2}
    assert set(one.atoms.arrays) == {'numbers', 'positions'}


def test_results_that_ase_wrote(tmp_path):
    atoms, values = frame()
    atoms.calc = SinglePointCalculator(
        atoms, energy=-1.5, free_energy=-1.6, forces=values, stress=STRESS, magmoms=np.full(4, 0.5), dipole=np.ones(3)
    )
    path = tmp_path / 'ase.extxyz'
    write(path, atoms)
    (found,), keys = read(path)
    # The forces derive from the free energy.
    assert found.properties['energy'] == -1.6
    assert found.properties['dipole'].tolist() == [1, 1, 1]
    assert np.allclose(found.properties['stress'], STRESS)
    assert found.atoms.arrays['magmoms'].tolist() == [0.5] * 4
    assert found.provenance['info'] == {'energy': -1.5}
    assert keys.notes() == [
        'energy and free_energy differ in 1 frames: free_energy, which the forces derive from, was taken; '
        '--key energy=energy takes the other'
    ]
    (found,), keys = read(path, energy='energy')
    assert (found.properties['energy'], keys.notes()) == (-1.5, [])


def test_own_files_come_back_whole(tmp_path, copper_frames):
    path = tmp_path / 'own.extxyz'
    write_extxyz(path, copper_frames[:3])
    found, _ = read(path)
    for back, frame in zip(found, copper_frames[:3], strict=True):
        assert back.content_hash() == frame.content_hash()
        assert back.provenance == frame.provenance
        assert np.allclose(back.properties['stress'], frame.properties['stress'])


def test_chosen_keys_and_kept_columns(tmp_path):
    atoms, values = frame()
    atoms.info |= {'energy_pbe': -2.0, 'run': 'a7'}
    atoms.arrays |= {'f_pbe': values, 'tags_of_mine': np.arange(4)}
    path = tmp_path / 'own.extxyz'
    write(path, atoms, format='extxyz', write_results=False)
    (refused,), _ = read(path)
    assert 'has no energy (looked for REF_energy' in str(refused)
    (found,), _ = read(path, energy='energy_pbe', forces='f_pbe', group='run')
    assert (found.properties['energy'], found.group) == (-2.0, 'a7')
    assert found.atoms.arrays['tags_of_mine'].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize('order', [(0, 1, 2), (1, 2, 0), (2, 0, 1)])
def test_the_order_of_the_frames_changes_no_label(tmp_path, order):
    atoms, values = frame()
    both, plain, mace = atoms.copy(), atoms.copy(), atoms.copy()
    both.info |= {'REF_energy': -1.0, 'REF_virials': (-MATRIX * atoms.cell.volume).ravel(), 'energy': -9.0}
    both.info['stress'] = -5 * MATRIX
    both.arrays |= {'REF_forces': values, 'forces': 2 * values}
    plain.info['energy'], plain.arrays['forces'] = -2.0, values
    mace.info['ref_ENERGY'], mace.arrays['REF_Forces'] = -3.0, values
    path = tmp_path / 'mixed.extxyz'
    write(path, [[both, plain, mace][index] for index in order], format='extxyz', write_results=False)
    found, keys = read(path)
    by_energy = sorted(found, key=lambda structure: -structure.properties['energy'])
    assert [structure.properties['energy'] for structure in by_energy] == [-1.0, -2.0, -3.0]
    assert all(np.allclose(structure.properties['forces'], values) for structure in found)
    assert np.allclose(by_energy[0].properties['stress'], STRESS)
    assert [structure for structure in by_energy[1:] if 'stress' in structure.properties] == []
    assert keys.unused == {'energy': 1, 'forces': 1, 'stress': 1}
    assert 'several families, ' in keys.notes()[0]


@pytest.mark.parametrize('chosen', [{'virial': 'REF_virials'}, {'stress': 'stress'}])
def test_a_chosen_key_wins_over_every_other(tmp_path, chosen):
    atoms, values = frame()
    atoms.info |= {'REF_energy': -1.0, 'REF_virials': (-MATRIX * atoms.cell.volume).ravel(), 'stress': 5 * MATRIX}
    atoms.info |= {'REF_stress': 7 * STRESS}
    atoms.arrays['REF_forces'] = values
    path = tmp_path / 'data.extxyz'
    write(path, atoms, format='extxyz', write_results=False)
    (found,), keys = read(path, **chosen)
    assert np.allclose(found.properties['stress'], STRESS if 'virial' in chosen else 5 * STRESS)
    assert set(keys.unused) == {'REF_virials', 'stress', 'REF_stress'} - {*chosen.values()}


def test_a_chosen_key_that_no_frame_has_is_told(tmp_path):
    path = written(tmp_path / 'data.extxyz', REF_stress=STRESS)
    _, keys = read(path, stress='REF_Stress', system='config_type')
    assert keys.missing() == [
        'no frame has the key of --key stress=REF_Stress',
        'no frame has the key of --key system=config_type',
    ]


@pytest.mark.parametrize(
    ('info', 'message'),
    [
        (
            {'stress': MATRIX.ravel(), 'virial': (VOLUME * MATRIX).ravel()},
            'have opposite signs',
        ),
        ({'stress': MATRIX.ravel(), 'virials': (-2 * MATRIX).ravel()}, 'stress and -virial/volume differ'),
        ({'Energy': -3.0}, "has the key 'energy' twice"),
        ({'virial': MATRIX.ravel(), 'virials': 2 * MATRIX.ravel()}, 'virial and virials differ'),
    ],
)
def test_contradictions_are_refused(tmp_path, info, message):
    (refused,) = read(written(tmp_path / 'odd.extxyz', 1, **info))[0]
    assert message in str(refused)


def test_what_looks_like_a_label_and_is_none_is_told(tmp_path):
    path = written(tmp_path / 'data.extxyz', 1, config_weight=4.0, my_stress=STRESS, Lattice_parameter=3.6, run=7)
    _, keys = read(path)
    assert keys.unused == {'config_weight': 1, 'my_stress': 1, 'Lattice_parameter': 1}


def test_a_virial_without_a_volume_to_act_in_is_told(tmp_path):
    path = written(tmp_path / 'slab.extxyz', 1, virial=MATRIX.ravel())
    path.write_text(path.read_text().replace('pbc="T T T"', 'pbc="T T F"'))
    (found,), keys = read(path)
    assert 'stress' not in found.properties
    assert (keys.counts['virial'], keys.unused) == (0, {'virial': 1})


HEADER = 'Lattice="3.6 0 0 0 3.6 0 0 0 3.6" Properties=species:S:1:pos:R:3:forces:R:3 energy=-1.0 pbc="T T T"'
ROWS = 'Cu 0 0 0 0 0 0\nCu 1.8 1.8 0 0 0 0\n'


def parsed(tmp_path, header=HEADER, rows=ROWS):
    path = tmp_path / 'one.extxyz'
    path.write_text(f'2\n{header}\n{rows}')
    return read(path)[0][0]


@pytest.mark.parametrize('spell', [str.lower, str.upper, str.title])
def test_the_header_may_be_spelled_in_any_case(tmp_path, spell):
    header = HEADER
    for word in ('Lattice', 'Properties', 'pbc', 'energy', 'forces'):
        header = header.replace(word, spell(word))
    found, expected = parsed(tmp_path, header), parsed(tmp_path)
    assert found.content_hash() == expected.content_hash()
    assert found.atoms.pbc.all()
    assert found.properties['energy'] == -1.0


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('"f f f"', (False, False, False)),
        ('"T T f"', (True, True, False)),
        ('".true. .FALSE. .true."', (True, False, True)),
        ('no', (False, False, False)),
        ('"1, 0, 1"', (True, False, True)),
        ('TTF', (True, True, False)),
        ('T', (True, True, True)),
    ],
)
def test_periodicity_in_every_spelling(tmp_path, text, expected):
    assert tuple(parsed(tmp_path, HEADER.replace('"T T T"', text)).atoms.pbc) == expected


@pytest.mark.parametrize('text', ['"T T"', 'perhaps', '"T T T T"', '"T T 2"', '""'])
def test_any_other_periodicity_is_refused(tmp_path, text):
    assert 'expected three of T and F' in parsed(tmp_path, HEADER.replace('"T T T"', text)).reason


@pytest.mark.parametrize(
    ('header', 'rows', 'message'),
    [
        (HEADER.replace('energy=-1.0', 'energy=T'), ROWS, "energy is 'True', which is no number"),
        (f'{HEADER} lattice="4 0 0 0 4 0 0 0 4"', ROWS, "has the key 'lattice' twice"),
        (HEADER.replace('pos:R:3', 'pos:R:900000000'), ROWS, 'column of more than 1000 numbers'),
        (HEADER[HEADER.index('Prop') :], ROWS, 'is periodic, but has no Lattice'),
        (HEADER, ROWS.replace('Cu', 'Cu1'), "species 'Cu1' is no chemical symbol: a label of Cu?"),
        (HEADER, ROWS.replace('Cu', 'D'), 'an isotope is written H here'),
        (HEADER.replace('species:S:1', 'Z:I:1'), ROWS.replace('Cu', '300'), 'the atomic number 300 belongs to no'),
        (
            HEADER.replace('species:S:1', 'species:S:1:Z:I:1'),
            ROWS.replace('Cu', 'Cu 79'),
            "species 'Cu' stands beside the atomic number 79",
        ),
        (
            HEADER.replace('forces:R:3', 'forces:R:3:masses:R:1'),
            ROWS.replace('\n', ' nan\n'),
            'masses holds numbers that are not finite',
        ),
        (f'{HEADER} tc_provenance="{{\\"system\\":{{\\"a\\":1}}}}"', ROWS, "'system' is"),
        (f'{HEADER} tc_provenance="{{\\"x\\":{"[" * 60}{"]" * 60}}}"', ROWS, 'nested more than 20 times'),
        (f'{HEADER} tc_provenance="{{\\"x\\":{"[" * 100000}{"]" * 100000}}}"', ROWS, 'no JSON of finite numbers'),
    ],
)
def test_hostile_headers_and_rows_are_refused(tmp_path, header, rows, message):
    assert message in parsed(tmp_path, header, rows).reason


def test_a_byte_order_mark_is_read_over(tmp_path):
    path = written(tmp_path / 'bom.extxyz', 2)
    path.write_bytes(b'\xef\xbb\xbf' + path.read_bytes())
    assert all(isinstance(found, Structure) for found in read(path)[0])


def test_forces_zeroed_by_constraints_are_refused(tmp_path):
    atoms, values = frame()
    atoms.info['energy'] = -1.0
    atoms.arrays |= {'move_mask': np.array([True, True, False, False]), 'forces': values.copy()}
    path = tmp_path / 'held.extxyz'
    write(path, atoms, format='extxyz', write_results=False)
    assert isinstance(read(path)[0][0], Structure)
    atoms.arrays['forces'][2:] = 0.0
    write(path, atoms, format='extxyz', write_results=False)
    (refused,) = read(path)[0]
    assert all(isinstance(found, Structure) for found, _ in read_labelled(path, LabelKeys(), allowed=['fixed_atoms']))
    assert (refused.rule, refused.reason[:40]) == ('fixed_atoms', 'the forces on the 2 atoms that move_mask')


def test_isolated_atom_in_a_box(tmp_path):
    atoms = Atoms('Cu', cell=[20, 20, 20], pbc=True, info={'config_type': 'IsolatedAtom', 'REF_energy': -0.5})
    atoms.arrays['REF_forces'] = np.zeros((1, 3))
    path = tmp_path / 'atom.extxyz'
    write(path, atoms, format='extxyz', write_results=False)
    (found,), _ = read(path)
    assert found.provenance['system'] == ISOLATED_ATOM
    assert not found.atoms.pbc.any()


def test_damage_names_file_and_frame(tmp_path):
    atoms, values = frame()
    atoms.info['energy'], atoms.arrays['forces'] = -1.0, values
    path = tmp_path / 'cut.extxyz'
    write(path, [atoms] * 3, format='extxyz', write_results=False)
    path.write_text('\n'.join(path.read_text().splitlines()[:-2]) + '\n')
    *good, refused = read(path)[0]
    assert len(good) == 2
    assert str(refused).startswith(
        'cut.extxyz, frame 2: is truncated: 2 of 4 atoms are there; nothing behind it can be'
    )
    path.write_bytes(bytes(range(256)) * 4)
    (refused,) = read(path)[0]
    assert (refused.frame, refused.rule) == (0, 'format')


def written(path, count=3, **info):
    atoms, values = frame()
    atoms.info |= {'energy': -1.0, **info}
    atoms.arrays['forces'] = values
    write(path, [atoms] * count, format='extxyz', write_results=False)
    return path


def test_a_cut_inside_the_last_number_is_seen(tmp_path):
    path = written(tmp_path / 'cut.extxyz')
    path.write_bytes(path.read_bytes()[:-3])
    *good, refused = read(path)[0]
    assert (len(good), refused.frame, refused.rule) == (2, 2, 'last_line')
    assert all(isinstance(found, Structure) for found, _ in read_labelled(path, LabelKeys(), allowed=['last_line']))


def test_a_wrong_number_of_atoms_refuses_its_own_frame(tmp_path):
    path = written(tmp_path / 'count.extxyz')
    lines = path.read_text().splitlines()
    lines[6] = '3'
    path.write_text('\n'.join(lines) + '\n')
    good, wrong, behind = read(path)[0]
    assert isinstance(good, Structure)
    assert (wrong.frame, behind.frame) == (1, 2)
    assert 'its number of atoms may be wrong' in wrong.reason


def test_one_undecodable_frame_hides_no_other(tmp_path):
    path = written(tmp_path / 'latin.extxyz', author='x')
    first, second = path.read_bytes().split(b'author=x', 2)[:2]
    path.write_bytes(first + b'author=\xe9' + second + b'author=x' + path.read_bytes().split(b'author=x', 2)[2])
    refused, *good = read(path)[0]
    assert (refused.frame, refused.reason, len(good)) == (0, 'is no text', 2)


@pytest.mark.parametrize(
    ('info', 'message'),
    [
        ({'tc_provenance': '{"magnetization": NaN}'}, 'no JSON of finite numbers'),
        ({'config_type': 'a\x01b'}, 'control characters'),
        ({'virials': [np.nan] * 9}, 'not finite'),
    ],
)
def test_what_the_database_could_not_hold_is_refused(tmp_path, info, message):
    (refused,) = read(written(tmp_path / 'odd.extxyz', 1, **info))[0]
    assert message in refused.reason


def test_a_virial_that_agrees_with_the_stress_is_used_up(tmp_path):
    volume = frame()[0].cell.volume
    path = written(tmp_path / 'both.extxyz', 1, stress=MATRIX.ravel(), virial=(-MATRIX * volume).ravel())
    (found,), keys = read(path)
    assert np.allclose(found.properties['stress'], STRESS)
    assert (found.provenance.get('info'), keys.unused) == (None, {})


def test_an_isolated_atom_may_lack_forces(tmp_path):
    path = tmp_path / 'atom.extxyz'
    write(path, Atoms('Cu', info={'config_type': 'isolated_atom', 'energy': -0.5}), format='extxyz')
    (found,), _ = read(path)
    assert found.properties['forces'].tolist() == [[0, 0, 0]]
