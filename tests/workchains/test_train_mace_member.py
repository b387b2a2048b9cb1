"""What a training of MACE does after each way of ending early."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ProcessState
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager

from aiida_traincraft.calculations.mace_train import MaceTrainCalculation
from aiida_traincraft.science.config.loader import parse_campaign
from aiida_traincraft.workchains.train_mace_member import TrainMaceMemberWorkChain

CODES = MaceTrainCalculation.exit_codes


@pytest.fixture
def member(make_campaign_content, mace_training, python_code, copper_dataset):
    """Function that makes a prepared training, with changes to its config; its code asks for a GPU."""

    def make(**changes):
        gpu = {'code': 'python@localhost', 'device': 'cuda', 'custom_scheduler_commands': '#SBATCH --gres=gpu:1'}
        content = make_campaign_content()
        sections = {
            'training': mace_training | changes,
            'codes': content['codes'] | {'mace_train': gpu},
        }
        remote = orm.RemoteData(computer=python_code.computer, remote_path='/somewhere')
        process = instantiate_process(
            get_manager().get_runner(),
            TrainMaceMemberWorkChain,
            config=orm.Dict(parse_campaign(content | sections).model_dump(mode='json')),
            codes={'mace_train': python_code},
            data=remote.store(),
            heads=orm.Dict({'heads': []}),
            datasets={'Default': copper_dataset},
            seed=orm.Int(1),
            descriptors=orm.Bool(False),
        )
        process.prepare()
        return process

    return make


@pytest.fixture
def ended(tmp_path):
    """Function that makes a training that has ended, with a checkpoint or without."""

    def make(code, checkpoint=True):
        node = orm.CalcJobNode(process_type='aiida.calculations:traincraft.mace_train')
        node.set_process_state(ProcessState.FINISHED)
        node.set_process_label('MaceTrainCalculation')
        node.set_exit_status(code.status)
        node.set_exit_message('because')
        node.store()
        if checkpoint:
            (tmp_path / 'potential_run-1_epoch-7.pt').write_text('a checkpoint')
            made = orm.SinglefileData(tmp_path / 'potential_run-1_epoch-7.pt')
            made.base.links.add_incoming(node, link_type=LinkType.CREATE, link_label='checkpoint')
            made.store()
        return node

    return make


def test_a_gpu_is_what_the_code_says(member):
    process = member()
    assert process.device_of('mace_train') == {'device': 'cuda'}
    assert process.device_of('mace') == {'device': 'cpu'}
    assert process.device_of('ase') == {}
    assert process.job_options('mace_train')['custom_scheduler_commands'] == '#SBATCH --gres=gpu:1'


@pytest.mark.parametrize('code', [CODES.ERROR_OUT_OF_WALLTIME, CODES.ERROR_NO_RESULT])
def test_out_of_walltime_continues_from_the_checkpoint(member, ended, code):
    process = member()
    process.ctx.training = ended(code)
    assert process.inspect_training() is None
    assert process.is_unfinished()
    assert process.ctx.checkpoint == process.ctx.training.outputs.checkpoint.uuid
    assert (process.ctx.batch_size, process.ctx.lr) == (4, 0.02)


def test_a_job_that_was_killed_before_it_left_anything_is_sent_again(member, ended):
    process = member(max_restarts=1)
    process.ctx.training = ended(CODES.ERROR_NO_RESULT, checkpoint=False)
    assert process.inspect_training() is None
    assert process.is_unfinished()
    assert (process.ctx.checkpoint, process.ctx.batch_size, process.ctx.lr) == (None, 4, 0.02)
    assert process.inspect_training().status == 400


@pytest.mark.parametrize('code', [CODES.ERROR_OUT_OF_MEMORY, CODES.ERROR_KILLED])
@pytest.mark.parametrize('checkpoint', [True, False])
def test_out_of_memory_halves_the_batch(member, ended, code, checkpoint):
    process = member()
    process.ctx.training = ended(code, checkpoint)
    assert process.inspect_training() is None
    assert process.ctx.batch_size == 2
    assert (process.ctx.checkpoint is not None) == checkpoint


def test_a_batch_of_one_cannot_shrink(member, ended):
    process = member(batch_size=1)
    process.ctx.training = ended(CODES.ERROR_OUT_OF_MEMORY, checkpoint=False)
    assert process.inspect_training().status == 400


def test_a_loss_that_is_not_finite_lowers_the_rate_and_starts_over(member, ended):
    process = member()
    process.ctx.checkpoint = 'an older one'
    process.ctx.training = ended(CODES.ERROR_NOT_FINITE)
    assert process.inspect_training() is None
    assert process.ctx.lr == pytest.approx(0.006)
    assert process.ctx.checkpoint is None


def test_an_ignored_checkpoint_is_left_out(member, ended):
    process = member()
    process.ctx.checkpoint = 'a bad one'
    process.ctx.training = ended(CODES.ERROR_CHECKPOINT_IGNORED)
    assert process.inspect_training() is None
    assert process.ctx.checkpoint is None


@pytest.mark.parametrize(
    ('code', 'checkpoint'),
    [
        (CODES.ERROR_OUT_OF_WALLTIME, False),
        (CODES.ERROR_LABELS_DROPPED, True),
        (CODES.ERROR_BAD_INPUT, False),
        (CODES.ERROR_MISSING_PACKAGE, False),
    ],
)
def test_what_another_attempt_cannot_mend_fails(member, ended, code, checkpoint):
    process = member()
    process.ctx.training = ended(code, checkpoint)
    exit_code = process.inspect_training()
    assert exit_code.status == 400
    assert 'because' in exit_code.message


def test_attempts_are_limited(member, ended):
    process = member(max_restarts=1)
    process.ctx.training = ended(CODES.ERROR_OUT_OF_WALLTIME)
    assert process.inspect_training() is None
    # One more, that only writes out what there is.
    process.ctx.training = ended(CODES.ERROR_OUT_OF_WALLTIME)
    assert process.inspect_training() is None
    assert process.ctx.finish
    process.ctx.training = ended(CODES.ERROR_OUT_OF_WALLTIME)
    assert process.inspect_training().status == 400
