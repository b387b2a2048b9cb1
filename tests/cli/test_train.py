"""``traincraft train``: another trainer on the dataset of a campaign."""

from __future__ import annotations

import pytest
from aiida import orm

from aiida_traincraft.data.potentials.base import PotentialData
from aiida_traincraft.launch.train_builder import train_builder_from_config
from aiida_traincraft.science.config.loader import load_campaign
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.workchains.seams.trainer import trainer_of


@pytest.fixture
def other_file(campaign_file, campaign_content):
    campaign_content['training'] = {'type': 'pace_linear', 'cutoff': 4.0, 'functions': 8}
    return campaign_file(campaign_content)


def test_another_trainer_on_the_same_dataset(traincraft, other_file, tiny_campaign):
    result = traincraft('train', other_file, '--dataset', tiny_campaign.uuid, '--in-process')
    assert result.exit_code == 0, result.output
    assert 'meV/atom' in result.output
    assert 'labels' in result.output
    potential = orm.load_node(result.output.split()[-1])
    assert isinstance(potential, PotentialData)
    assert potential.cutoff == 4.0
    fit = potential.creator.inputs.potential.creator
    assert fit.inputs.dataset.uuid == tiny_campaign.outputs.dataset.uuid


def test_only_what_a_training_needs(traincraft, campaign_file, campaign_content, tiny_campaign, refused):
    needed = {'training': {'type': 'pace_linear', 'cutoff': 4.0, 'functions': 8}, 'codes': campaign_content['codes']}
    result = traincraft('train', campaign_file(needed), '--dataset', 'tiny', '--in-process')
    assert result.exit_code == 0, result.output
    potential = orm.load_node(result.output.split()[-1])
    assert potential.has_active_set
    # What is not read may be wrong; what is no section at all may not be there.
    broken = needed | {'loop': {'max_cycles': 'many'}, 'trainig': {}}
    output = refused('train', campaign_file(broken), '--dataset', 'tiny')
    assert 'trainig: unknown key' in output
    assert 'loop' not in output


def test_what_is_no_dataset(refused, other_file, tiny_campaign):
    assert '--dataset: there is no dataset' in refused('train', other_file, '--dataset', 'nowhere')
    potential = tiny_campaign.outputs.potential.uuid
    assert '--dataset: there is no dataset' in refused('train', other_file, '--dataset', potential)
    sealed = ('--dataset', tiny_campaign.outputs.dataset.uuid, '--test-set', potential)
    assert '--test-set: there is no dataset' in refused('train', other_file, *sealed)


def test_a_dataset_without_training_data(refused, other_file, tiny_campaign):
    output = refused('train', other_file, '--dataset', tiny_campaign.outputs.test_set.uuid)
    assert 'has nothing to train on' in output


def test_a_foundation_model_of_a_file_becomes_a_node(campaign_content, campaign_file, tiny_campaign, tmp_path):
    (tmp_path / 'stand_in.model').write_text('no model')
    foundation = {'file': 'stand_in.model', 'mode': 'naive'}
    campaign_content['training'] = {'type': 'mace', 'foundation': foundation}
    python = {'code': 'python@localhost'}
    campaign_content['codes'] |= {'mace': python, 'mace_train': python}
    path = campaign_file(campaign_content)
    with pytest.raises(ConfigError, match=r'codes.mace.code: python@localhost lacks .*make setup-mace'):
        train_builder_from_config(path, tiny_campaign.outputs.dataset, None)
    completed = trainer_of(load_campaign(path).training).complete(frozenset({'Cu'}), tmp_path)
    node = completed.model.store()
    assert completed.section['foundation']['potential'] == node.uuid
    assert completed.section['foundation']['file'] is None
    assert node.get_content() == 'no model'


def test_training_on_the_most_informative_structures(
    traincraft, refused, campaign_file, campaign_content, copper_dataset
):
    def file(size, functions=12):
        keys = {'type': 'pace_linear', 'cutoff': 4.0, 'functions': functions, 'active_set_size': size}
        return campaign_file({'training': keys, 'codes': campaign_content['codes']})

    result = traincraft('train', file(9), '--dataset', copper_dataset.uuid, '--in-process')
    assert result.exit_code == 0, result.output
    assert 'trained on 9 of 24 structures' in result.output
    potential = orm.load_node(result.output.split()[-1])
    active_set = potential.creator
    assert len(active_set.inputs.fit['left_out']) == 15
    assert active_set.inputs.fit.uuid == active_set.inputs.potential.creator.outputs.summary.uuid
    assert active_set.outputs.descriptors.get_array('descriptors').shape[0] == 9
    (report,) = [log for log in orm.Log.collection.get_logs_for(active_set.caller) if 'trained on' in log.message]
    assert 'trained on 9 of 24 structures' in report.message
    given = ('--dataset', copper_dataset.uuid)
    output = refused('train', file(25), *given)
    assert 'training.active_set_size: 25 of 24 training structures' in output
    assert 'take at least 4' in refused('train', file(3, 32), *given)
    assert 'training.active_set_size' in refused('train', file(0), *given)
