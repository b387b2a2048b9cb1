from __future__ import annotations

import ast

import numpy as np
import pytest
from ase import Atoms
from ase.io import read

from aiida_traincraft.science.config.training.mace import MaceTraining
from aiida_traincraft.science.structure import Structure, read_extxyz
from aiida_traincraft.science.training.mace.input import (
    check_data,
    label_counts,
    mace_input,
    split_validation,
    write_data,
)

CONFIG = MaceTraining(batch_size=4)


@pytest.fixture
def frames(copper_frames):
    return [frame.copy() for frame in copper_frames]


def molecule(**properties):
    return Structure(Atoms('OH2', [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]), properties)


def head(frames, name='Default', e0=None):
    train, valid = split_validation(frames, 0.2)
    counts = {'train': label_counts(train), 'valid': label_counts(valid)}
    return {'name': name, 'e0': {'Cu': 3.5} if e0 is None else e0, 'counts': counts}


def hashes(structures):
    return {structure.content_hash() for structure in structures}


def test_split_does_not_depend_on_order_and_stays_when_the_set_grows(frames):
    train, valid = split_validation(frames, 0.2)
    assert len(train) + len(valid) == len(frames)
    assert 1 <= len(valid) <= 12
    again, held = split_validation(frames[::-1], 0.2)
    assert (hashes(again), hashes(held)) == (hashes(train), hashes(valid))
    _, small = split_validation(frames[:15], 0.2)
    assert hashes(small) <= hashes(valid)


def test_split_holds_out_one_at_least_and_trains_on_all_elements(frames):
    assert len(split_validation(frames[:10], 1e-6)[1]) == 1
    rare = Structure(Atoms('Ag', cell=[3, 3, 3], pbc=True))
    train, _ = split_validation([*frames, rare], 0.85)
    assert rare.content_hash() in hashes(train)
    with pytest.raises(ValueError, match='1 training structures are too few'):
        split_validation([rare], 0.5)


def test_split_without_a_low_hash_passes_over_what_cannot_be_spared(frames):
    rare = [Structure(Atoms('Ag', cell=[side, 3, 3], pbc=True)) for side in np.linspace(3, 4, 40)]
    lowest = min(rare, key=Structure.content_hash)
    frames = [frame for frame in frames if frame.content_hash() > lowest.content_hash()]
    train, valid = split_validation([*frames, lowest], 1e-9)
    assert len(valid) == 1
    assert lowest.content_hash() in hashes(train)


def test_data_have_our_keys_and_squared_weights(tmp_path, frames):
    frames[1].provenance['weight'] = 3.0
    del frames[2].properties['stress']
    dielectric = molecule(dipole=np.array([0.1, 0.2, 0.3]), polarizability=np.diag([1.0, 2.0, 3.0]))
    write_data(tmp_path / 'train.xyz', [*frames[:3], dielectric])
    images = read(tmp_path / 'train.xyz', ':')
    assert [atoms.info.get('config_weight') for atoms in images] == [None, 9.0, None, None]
    assert images[0].calc is None
    assert images[0].info['REF_stress'].shape == (6,)
    assert 'REF_stress' not in images[2].info
    np.testing.assert_array_equal(images[3].info['REF_polarizability'], np.diag([1.0, 2.0, 3.0]).ravel())
    first = read_extxyz(tmp_path / 'train.xyz')[0]
    assert first.properties['energy'] == frames[0].properties['energy']
    np.testing.assert_allclose(first.properties['forces'], frames[0].properties['forces'], atol=1e-7)


def test_counts(frames):
    del frames[0].properties['stress']
    assert label_counts(frames[:3]) == {
        'configurations': 3,
        'energy': 3,
        'forces': 3,
        'stress': 2,
        'dipole': 0,
        'polarizability': 0,
        'elements': ['Cu'],
    }


def test_input_says_everything(frames):
    content = mace_input(CONFIG, [head(frames, e0={'Cu': 3.5, 'Al': 1.0})], seed=5, device='cuda')
    assert (content['seed'], content['device'], content['default_dtype']) == (5, 'cuda', 'float64')
    assert (content['loss'], content['energy_key'], content['stress_key']) == ('stress', 'REF_energy', 'REF_stress')
    assert content['radial_MLP'] == '[64, 64, 64]'
    assert (content['plot'], content['restart_latest'], content['save_cpu']) == (False, True, True)
    # The energy of an element without data would shift those of the others.
    assert ast.literal_eval(content['heads']) == {
        'Default': {
            'train_file': 'data/Default_train.xyz',
            'valid_file': 'data/Default_valid.xyz',
            'E0s': '{29: 3.5}',
        }
    }
    assert not {'start_stage_two', 'foundation_model', 'error_table', 'E0s'} & content.keys()


def test_input_without_stress_with_overrides_and_extra(frames):
    for frame in frames:
        del frame.properties['stress']
    config = MaceTraining(extra={'lr_params_factors': {'a': 1}, 'num_radial_basis': 10}, start_stage_two=9)
    content = mace_input(config, [head(frames)], seed=5, device='cpu', batch_size=2, lr=1e-4)
    assert (content['loss'], content['batch_size'], content['lr']) == ('weighted', 2, 1e-4)
    assert (content['lr_params_factors'], content['num_radial_basis']) == ("{'a': 1}", 10)
    assert (content['start_stage_two'], content['stage_two_energy_weight']) == (9, 1000.0)
    # The config has 10 and 10, 0.01 and 0.001.
    assert (content['valid_batch_size'], content['stage_two_lr']) == (2, pytest.approx(1e-5))


def test_same_batch_size_leaves_that_of_the_validation(frames):
    config = MaceTraining(batch_size=4, valid_batch_size=64)
    content = mace_input(config, [head(frames)], seed=5, device='cpu', batch_size=4)
    assert (content['batch_size'], content['valid_batch_size']) == (4, 64)


def test_input_of_two_heads_and_replay(frames):
    config = MaceTraining.model_validate(
        {
            'head': 'pbe',
            'heads': [{'name': 'scan', 'dataset': 'x'}],
            'foundation': {'file': 'f.model', 'mode': 'replay', 'replay_dataset': 'y'},
        }
    )
    heads = [head(frames, name) for name in ('pt_head', 'scan', 'pbe')]
    content = mace_input(config, heads, seed=5, device='cpu')
    assert list(ast.literal_eval(content['heads'])) == ['scan', 'pbe']
    assert content['pt_train_file'] == 'data/pt_head_train.xyz'
    assert (content['loss'], content['multiheads_finetuning'], content['force_mh_ft_lr']) == ('universal', True, True)
    assert content['foundation_model'] == 'data/foundation.model'
    with pytest.raises(ValueError, match='expected pbe, pt_head, scan with the own one last'):
        mace_input(config, heads[::-1], seed=5, device='cpu')


def test_input_of_a_dipole_model_needs_no_energies():
    config = MaceTraining(model='AtomicDielectricMACE', max_L=2)
    frames = [molecule(dipole=np.ones(3), polarizability=np.eye(3)) for _ in range(2)]
    counts = {'train': label_counts(frames), 'valid': label_counts(frames)}
    content = mace_input(config, [{'name': 'Default', 'e0': {}, 'counts': counts}], seed=5, device='cpu')
    assert (content['loss'], content['error_table']) == ('dipole_polar', 'DipolePolarRMSE')
    assert "'E0s': '{1: 0.0, 8: 0.0}'" in content['heads']


def test_missing_energy_of_an_isolated_atom(frames):
    with pytest.raises(ValueError, match=r'head "Default": no isolated-atom energy .* for Cu'):
        mace_input(CONFIG, [head(frames, e0={})], seed=5, device='cpu')


def test_good_data_are_split(frames):
    train, valid = check_data(CONFIG, 'Default', frames, {'Cu': 3.5})
    assert [hashes(train), hashes(valid)] == [hashes(part) for part in split_validation(frames, 0.1)]
    dipoles = [Structure(Atoms('OH', [[0, 0, 0], [0, 0, 1 + i / 10]]), {'dipole': np.ones(3)}) for i in range(6)]
    train, valid = check_data(MaceTraining(model='AtomicDipolesMACE', batch_size=2), 'Default', dipoles, {})
    assert len(train) + len(valid) == 6


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda data: data.clear(), 'head "Default" has no training data'),
        (lambda data: data.__delitem__(slice(1, None)), 'head "Default": 1 training structures are too few to spare'),
        (lambda data: data[1].properties.pop('energy'), 'head "Default": training structure 1 .* has no energy'),
        (lambda data: data[0].properties.update(energy=np.nan), 'energy is not finite'),
        (lambda data: data.__delitem__(slice(4, None)), '3 training structures are fewer than training.batch_size'),
        (lambda data: [frame.properties.pop('stress') for frame in data], '"stress", but no training structure'),
    ],
)
def test_data_that_cannot_be_trained_on(frames, change, message):
    change(frames)
    with pytest.raises(ValueError, match=message):
        check_data(MaceTraining(batch_size=4, loss='stress'), 'Default', frames, {'Cu': 3.5})


def test_missing_elements_and_dipoles(frames):
    with pytest.raises(ValueError, match=r'no isolated-atom energy .* is given for Cu'):
        check_data(CONFIG, 'Default', frames, {'Al': 1.0})
    with pytest.raises(ValueError, match=r'training structure 1 \(H2O\) has no polarizability'):
        check_data(
            MaceTraining(model='AtomicDielectricMACE', max_L=2, batch_size=1),
            'Default',
            [molecule(dipole=np.ones(3), polarizability=np.eye(3)), molecule(dipole=np.ones(3))],
            {},
        )
