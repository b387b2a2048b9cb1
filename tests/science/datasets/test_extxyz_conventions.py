from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from aiida_traincraft.science.datasets.extxyz import LabelKeys, RefusedFrame, read_labelled
from aiida_traincraft.science.structure import ISOLATED_ATOM, Structure, write_extxyz

STRESS = np.array([0.01, 0.02, 0.03, 0.001, 0.002, 0.003])
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
    assert found.properties['energy'] == -1.5
    assert found.properties['dipole'].tolist() == [1, 1, 1]
    assert np.allclose(found.properties['stress'], STRESS)
    assert found.atoms.arrays['magmoms'].tolist() == [0.5] * 4
    assert found.provenance['info'] == {'free_energy': -1.6}
    assert keys.beside == {'free_energy': 1}


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


def test_keys_may_not_change_within_a_file(tmp_path):
    atoms, values = frame()
    first, second = atoms.copy(), atoms.copy()
    first.info['REF_energy'], first.arrays['REF_forces'] = -1.0, values
    second.info['energy'], second.arrays['forces'] = -1.0, values
    path = tmp_path / 'mixed.extxyz'
    write(path, [first, second], format='extxyz', write_results=False)
    (_, refused), _ = read(path)
    assert refused.frame == 1
    assert "energy under 'energy', but before under 'REF_energy'" in refused.reason


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
        ({'REF_stress': [np.nan] * 9}, 'not finite'),
    ],
)
def test_what_the_database_could_not_hold_is_refused(tmp_path, info, message):
    (refused,) = read(written(tmp_path / 'odd.extxyz', 1, **info))[0]
    assert message in refused.reason


def test_a_virial_beside_a_stress_is_kept_as_it_is(tmp_path):
    (found,), keys = read(written(tmp_path / 'both.extxyz', 1, REF_stress=STRESS, REF_virials=np.arange(9.0)))
    assert np.allclose(found.properties['stress'], STRESS)
    assert found.provenance['info'] == {'REF_virials': list(range(9))}
    assert keys.beside == {'REF_virials': 1}


def test_an_isolated_atom_may_lack_forces(tmp_path):
    path = tmp_path / 'atom.extxyz'
    write(path, Atoms('Cu', info={'config_type': 'isolated_atom', 'energy': -0.5}), format='extxyz')
    (found,), _ = read(path)
    assert found.properties['forces'].tolist() == [[0, 0, 0]]
