from __future__ import annotations

import pytest

from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.config.training.mace import MaceTraining
from aiida_traincraft.science.errors import ConfigError


def parse(**keys):
    return parse_plugin('trainer', {'type': 'mace', **keys})


def test_registered_with_defaults():
    config = parse()
    assert isinstance(config, MaceTraining)
    assert config.roles == ('mace', 'mace_train')
    assert (config.model, config.committee, config.max_restarts, config.loss) == ('ScaleShiftMACE', 4, 3, None)
    assert config.gives_forces
    assert not parse(model='AtomicDipolesMACE').gives_forces
    assert parse(model='EnergyDipolesMACE').gives_forces


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'start_stage_two': 10, 'max_num_epochs': 10}, '"start_stage_two" .10. must be less than "max_num_epochs"'),
        ({'start_stage_two': 10, 'loss': 'huber'}, 'stage two has another loss than "huber"'),
        ({'model': 'AtomicDipolesMACE', 'start_stage_two': 10}, 'AtomicDipolesMACE has no stage two'),
        ({'model': 'AtomicDipolesMACE', 'loss': 'weighted'}, 'a loss of its own: leave "loss" out'),
        ({'model': 'EnergyDipolesMACE', 'heads': [{'name': 'pbe', 'dataset': 'x'}]}, 'has one head'),
        ({'model': 'AtomicDielectricMACE', 'max_L': 1}, 'needs max_L = 2'),
        ({'max_L': 2, 'max_ell': 1}, '"max_L" .2. must not be more than "max_ell" .1.'),
        ({'model': 'AtomicDipolesMACE', 'lammps': 'libtorch'}, 'no form for LAMMPS'),
        ({'model': 'AtomicDipolesMACE', 'foundation': {'file': 'x.model'}}, 'cannot be fine-tuned'),
        ({'heads': [{'name': 'Default', 'dataset': 'x'}]}, 'need names of their own; repeated: Default'),
        ({'heads': [{'name': 'pt_head', 'dataset': 'x'}]}, '"pt_head" is kept for the replay'),
        ({'heads': [{'name': 'pbe'}]}, 'give one of "dataset" and "level_of_theory"'),
        ({'heads': [{'name': 'p b', 'dataset': 'x'}]}, 'letters and digits'),
        ({'foundation': {'mode': 'naive'}}, 'give one of "potential" and "file"'),
        ({'foundation': {'file': 'x', 'mode': 'replay'}}, 'needs "replay_dataset"'),
        ({'foundation': {'file': 'x', 'replay_dataset': 'y'}}, 'not used with mode = "naive"'),
        (
            {'foundation': {'file': 'x', 'mode': 'replay', 'replay_dataset': 'y'}, 'loss': 'stress'},
            'replay always has the loss "universal"',
        ),
        ({'extra': {'seed': 3}}, 'flag "seed" cannot be set here: is set for every training'),
        ({'extra': {'keep_checkpoints': True}}, 'is left off: a copy of the newest checkpoint is kept'),
        ({'extra': {'lr': 0.1}}, 'use the key "lr"'),
        ({'extra': {'hidden_irreps': '8x0e'}}, 'use the keys "num_channels" and "max_L"'),
        ({'extra': {'swa_energy_weight': 1.0}}, 'use the key "stage_two_energy_weight"'),
        ({'extra': {'swa': True}}, 'use the key "start_stage_two"'),
        ({'extra': {'energy_key': 'E'}}, 'is set for every training'),
        ({'extra': {'wandb_project': 'p'}}, 'is set for every training'),
        ({'extra': {'foundation_model': 'small'}}, 'use the table "foundation"'),
        ({'num_chanels': 8}, "did you mean 'num_channels'"),
    ],
)
def test_mistakes_are_named(keys, message):
    with pytest.raises(ConfigError, match=message):
        parse(**keys)


def test_other_flags_and_heads_pass():
    config = parse(
        extra={'num_radial_basis': 10, 'scaling': 'no_scaling'},
        heads=[{'name': 'pbe', 'level_of_theory': 'abc'}],
        foundation={'potential': 'x', 'mode': 'replay', 'replay_dataset': 'y'},
        start_stage_two=1200,
    )
    assert config.replay
    assert parse_plugin('trainer', config.model_dump(mode='json')) == config
