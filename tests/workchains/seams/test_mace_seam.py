"""What is refused of a MACE campaign before anything is stored."""

from __future__ import annotations

import pytest

from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.data.potentials.mace import MacePotentialData
from aiida_traincraft.launch.campaign_builder import builder_from_config
from aiida_traincraft.science.config.loader import parse_campaign
from aiida_traincraft.science.config.training.mace import MaceTraining
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.workchains.seams.trainer import trainer_of


@pytest.fixture
def foundation(aiida_profile, tmp_path):
    (tmp_path / 'stand_in.model').write_text('no model')
    heads = [{'name': 'Default', 'e0': {'Cu': 3.5}}]
    path = tmp_path / 'stand_in.model'
    facts = {'architecture': 'ScaleShiftMACE', 'cutoff': 4.5, 'elements': ['Cu'], 'dtype': 'float32', 'heads': heads}
    return MacePotentialData([path], **facts).store()


@pytest.fixture
def messages(tmp_path):
    """Function that gives the issues of a section by their key."""

    def check(elements=('Cu',), explores=True, **section):
        trainer = trainer_of(MaceTraining.model_validate(section))
        found = trainer.check_start(frozenset(elements), tmp_path)
        if explores:
            found += trainer.check_forces()
        return {issue.path: issue.message for issue in found}

    return check


def test_nothing_to_object_to(messages):
    assert messages() == {}


def test_a_foundation_of_another_cutoff_or_without_an_element(messages, foundation):
    found = messages(elements=('Al', 'Cu'), r_max=5.0, foundation={'potential': foundation.uuid, 'head': 'pbe'})
    assert found['training.r_max'] == 'the foundation model has 4.5 Å: set r_max to that'
    assert found['training.foundation.potential'].endswith('does not know Al')
    assert "no head 'pbe': Default" in found['training.foundation.head']
    assert messages(r_max=4.5, foundation={'potential': foundation.uuid}) == {}


def test_a_foundation_of_another_baseline(messages, foundation, tmp_path):
    lj = {'type': 'lj', 'pairs': {'Cu-Cu': {'epsilon': 0.1, 'sigma': 2.0}}, 'cutoff': 4.0}
    start = {'r_max': 4.5, 'foundation': {'potential': foundation.uuid}}
    assert 'was trained with the baseline' in messages(baseline=lj, **start)['training.baseline']
    facts = {'architecture': 'ScaleShiftMACE', 'cutoff': 4.5, 'elements': ['Cu'], 'dtype': 'float32'}
    node = MacePotentialData(
        [tmp_path / 'stand_in.model'], heads=[{'name': 'Default', 'e0': {'Cu': 3.5}}], baseline=lj, **facts
    ).store()
    start = {'r_max': 4.5, 'foundation': {'potential': node.uuid}}
    assert 'was trained with the baseline' in messages(**start)['training.baseline']
    assert messages(baseline=lj, **start) == {}
    fitted = MaceTraining.model_validate({'baseline': {'type': 'lj', 'cutoff': 4.0}, **start})
    assert trainer_of(fitted).check_start(frozenset({'Cu'}), tmp_path) == []
    # What was fitted once is not fitted anew.
    assert trainer_of(fitted).complete(frozenset({'Cu'}), tmp_path).section['baseline'] == lj
    # Nothing is known of the baseline of a file.
    found = messages(baseline=lj, r_max=4.5, foundation={'file': 'stand_in.model'})
    assert list(found) == ['training.baseline']


def test_a_foundation_that_is_not_there(messages, copper_dataset):
    missing = '00000000-0000-0000-0000-000000000000'
    assert 'no MACE potential' in messages(foundation={'potential': missing})['training.foundation.potential']
    wrong = messages(foundation={'potential': copper_dataset.uuid})
    assert 'no MACE potential' in wrong['training.foundation.potential']
    assert 'there is no model' in messages(foundation={'file': 'medium.model'})['training.foundation.file']
    replay = {'potential': missing, 'mode': 'replay', 'replay_dataset': missing}
    assert 'no dataset' in messages(foundation=replay)['training.foundation.replay_dataset']


def test_replay_at_another_level_than_the_foundation(messages, tmp_path, foundation, copper_dataset):
    facts = {'architecture': 'ScaleShiftMACE', 'cutoff': 4.5, 'elements': ['Cu'], 'dtype': 'float32'}
    path = tmp_path / 'stand_in.model'
    for level, wrong in (('emt', False), ('pbe', True)):
        heads = [{'name': 'Default', 'e0': {'Cu': 3.5}, 'level_of_theory': level}]
        node = MacePotentialData([path], heads=heads, **facts).store()
        replay = {'potential': node.uuid, 'mode': 'replay', 'replay_dataset': copper_dataset.uuid}
        found = messages(r_max=4.5, foundation=replay)
        assert ('training.foundation.replay_dataset' in found) == wrong


def test_a_student_is_checked_too(make_campaign_content, tmp_path):
    content = make_campaign_content()
    student = {'type': 'mace', 'foundation': {'file': 'nowhere.model'}}
    content['distillation'] = {'training': student}
    with pytest.raises(ConfigError, match=r'distillation\.training\.foundation\.file: there is no model'):
        builder_from_config(parse_campaign(content))


def test_heads_without_data(messages, copper_dataset, aiida_profile):
    empty = DatasetData([], [], {'Cu': 3.5}).store()
    level = LevelOfTheoryData.get_or_create({'type': 'nobody labelled with this'})
    heads = [
        {'name': 'fine', 'dataset': copper_dataset.uuid},
        {'name': 'empty', 'dataset': empty.uuid},
        {'name': 'unlabelled', 'level_of_theory': level.hash[:12]},
        {'name': 'unknown', 'level_of_theory': 'ffff00000000'},
    ]
    found = messages(heads=heads)
    assert list(found) == [
        'training.heads[1].dataset',
        'training.heads[2].level_of_theory',
        'training.heads[3].level_of_theory',
    ]
    assert 'has nothing to train on' in found['training.heads[1].dataset']
    assert 'no label of the level of theory' in found['training.heads[2].level_of_theory']
    assert '0 levels of theory' in found['training.heads[3].level_of_theory']


def test_dipoles_cannot_explore(messages):
    found = messages(model='AtomicDipolesMACE')
    assert 'gives no forces' in found['training.model']
    assert messages(model='AtomicDipolesMACE', explores=False) == {}
