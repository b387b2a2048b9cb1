"""The nonlinear trainer: when it continues, when it gives up; and the real pacemaker."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ProcessState
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager

from aiida_traincraft.data.potentials.pace import PacePotentialData
from aiida_traincraft.science.config.loader import parse_campaign
from aiida_traincraft.science.config.training.pace import PaceNonlinearTraining
from aiida_traincraft.science.config.training.pace_linear import PaceLinearTraining
from aiida_traincraft.workchains.train_pace import TrainPaceWorkChain

TRAINING = {'type': 'pace', 'cutoff': 5.0, 'functions': 10, 'maxiter': 6, 'display_step': 2, 'batch_size': 8}


@pytest.fixture
def pace_content(campaign_content):
    campaign_content['training'] = dict(TRAINING)
    campaign_content['codes']['pacemaker'] = {'code': 'pacemaker@localhost'}
    return campaign_content


@pytest.fixture
def workchain(python_code, pace_content, copper_dataset):
    """Function that makes a trainer that has been prepared, with changes to its config."""

    def make(changes=None, **inputs):
        pace_content['training'] |= changes or {}
        process = instantiate_process(
            get_manager().get_runner(),
            TrainPaceWorkChain,
            config=orm.Dict(parse_campaign(pace_content).model_dump(mode='json')),
            codes={'pace': python_code, 'pacemaker': python_code},
            dataset=copper_dataset,
            seed=orm.Int(1),
            **inputs,
        )
        process.prepare()
        return process

    return make


@pytest.fixture
def potential(tmp_path):
    (tmp_path / 'potential.yaml').write_text('a potential')
    return PacePotentialData(tmp_path / 'potential.yaml', e0={'Cu': 3.5}, cutoff=5.0).store()


@pytest.fixture
def ended_fit(tmp_path):
    """Function that makes a fit that has ended."""

    def make(exit_status, *outputs):
        node = orm.CalcJobNode(process_type='aiida.calculations:traincraft.pace_train')
        node.set_process_state(ProcessState.FINISHED)
        node.set_process_label('PaceTrainCalculation')
        node.set_exit_status(exit_status)
        node.set_exit_message('because')
        node.store()
        for name in outputs:
            (tmp_path / f'{name}.yaml').write_text(name)
            made = PacePotentialData(tmp_path / f'{name}.yaml', e0={'Cu': 3.5}, cutoff=5.0)
            made.base.links.add_incoming(node, link_type=LinkType.CREATE, link_label=name)
            made.store()
        return node

    return make


@pytest.mark.parametrize(('warm_start', 'expected'), [('linear', 'warm'), ('none', 'cold')])
def test_where_a_fit_starts(workchain, warm_start, expected):
    process = workchain({'warm_start': warm_start})
    assert (process.ctx.start, process.ctx.initial) == (expected, None)
    assert process.is_unfinished()


def test_fine_tuning_of_a_node_given_or_named(workchain, potential):
    process = workchain(initial=potential)
    assert (process.ctx.start, process.ctx.initial) == ('initial', potential.uuid)
    process = workchain({'initial_potential': potential.uuid})
    assert (process.ctx.start, process.ctx.initial) == ('initial', potential.uuid)


@pytest.mark.parametrize('status', [400, 312])
def test_a_fit_that_was_stopped_continues(workchain, ended_fit, status):
    process = workchain()
    process.ctx.fit = ended_fit(status, 'interim')
    assert process.inspect_fit() is None
    assert process.is_unfinished()
    assert process.ctx.start == 'continue'
    assert process.ctx.initial == process.ctx.fit.outputs.interim.uuid
    assert process.ctx.attempt == 1


def test_a_fit_that_was_killed_before_it_left_anything_is_sent_again(workchain, ended_fit):
    process = workchain({'max_restarts': 1})
    process.ctx.fit = ended_fit(300)
    assert process.inspect_fit() is None
    assert process.is_unfinished()
    assert (process.ctx.start, process.ctx.initial, process.ctx.attempt) == ('warm', None, 1)
    assert process.inspect_fit().status == 400


def test_restarts_are_limited(workchain, ended_fit):
    process = workchain({'max_restarts': 2})
    for _ in range(2):
        process.ctx.fit = ended_fit(400, 'interim')
        assert process.inspect_fit() is None
    process.ctx.fit = ended_fit(400, 'interim')
    exit_code = process.inspect_fit()
    assert exit_code.status == 400
    assert 'because' in exit_code.message


@pytest.mark.parametrize(('status', 'outputs'), [(400, ()), (312, ()), (310, ('interim',)), (301, ()), (311, ())])
def test_what_cannot_be_continued_fails(workchain, ended_fit, status, outputs):
    process = workchain()
    process.ctx.fit = ended_fit(status, *outputs)
    exit_code = process.inspect_fit()
    assert exit_code.status == 400
    assert f'ended with status {status}' in exit_code.message


def test_a_finished_fit_is_taken(workchain, ended_fit):
    process = workchain()
    process.ctx.fit = ended_fit(0, 'potential')
    assert process.inspect_fit() is None
    assert not process.is_unfinished()
    assert process.ctx.potential == process.ctx.fit.outputs.potential.uuid


@pytest.fixture
def pacemaker_code(localhost, pacemaker_python):
    found = orm.QueryBuilder().append(orm.InstalledCode, filters={'label': 'pacemaker'}).first(flat=True)
    return found or orm.InstalledCode(localhost, str(pacemaker_python), label='pacemaker').store()


@pytest.mark.slow
def test_real_fit_active_set_and_score(run_workchain, pace_content, python_code, pacemaker_code, copper_dataset):
    node = run_workchain(
        'traincraft.train',
        pace_content,
        codes={'ase': python_code, 'pace': python_code, 'pacemaker': pacemaker_code},
        dataset=copper_dataset,
        test_set=copper_dataset,
        seed=orm.Int(1),
    )
    assert node.is_finished_ok, node.exit_message
    history = node.outputs.history.get_dict()
    assert history['train'][-1]['loss'] < history['train'][0]['loss']
    assert history['test']
    assert node.outputs.potential.has_active_set
    # Our evaluation of the potential agrees with what pacemaker says of the same structures.
    errors, last = node.outputs.errors['overall'], history['test'][-1]
    assert errors['forces']['rmse'] == pytest.approx(last['force_rmse'], rel=1e-4)
    assert errors['energy']['rmse'] == pytest.approx(last['energy_rmse'], rel=1e-4)
    (fit,) = [child for child in node.called_descendants if child.process_label == 'PaceTrainCalculation']
    assert fit.inputs.parameters['start'] == 'warm'
    names = fit.outputs.retrieved.list_object_names()
    assert 'log.txt' in names
    # Nothing that comes back is a pickle.
    assert not [name for name in names if 'pckl' in name or 'pickle' in name]


@pytest.mark.long
def test_real_fit_out_of_walltime_is_continued(
    run_workchain, pace_content, python_code, pacemaker_code, copper_dataset
):
    # Time enough to start TensorFlow on a busy machine, and too many functions to converge in twice as much.
    pace_content['training'] |= {'functions': 160, 'maxiter': 100000, 'max_restarts': 1}
    pace_content['codes']['pacemaker']['max_wallclock_seconds'] = 150
    node = run_workchain(
        'traincraft.train.pace',
        pace_content,
        codes={'pace': python_code, 'pacemaker': pacemaker_code},
        dataset=copper_dataset,
        seed=orm.Int(1),
    )
    first, second = sorted(node.called, key=lambda child: child.pk)
    assert first.exit_status == second.exit_status == 400
    assert second.inputs.parameters['start'] == 'continue'
    assert second.inputs.initial.uuid == first.outputs.interim.uuid
    losses = [fit.outputs.history['train'] for fit in (first, second)]
    # The second begins where the first was stopped, not where that one began.
    assert losses[1][0]['loss'] < losses[0][0]['loss']
    assert node.exit_status == 400


@pytest.mark.slow
def test_real_fit_to_the_most_informative_structures(run_job, pacemaker_code, copper_dataset):
    # Both trainers leave out the same, each where its own packages are.
    keys = {'cutoff': 5.0, 'functions': 10, 'active_set_size': 8}
    training = PaceNonlinearTraining(maxiter=2, batch_size=8, **keys)
    parameters = {'training': training.model_dump(mode='json'), 'start': 'warm', 'seed': 1}
    fit = run_job('traincraft.pace_train', parameters, code=pacemaker_code, dataset=copper_dataset)
    assert fit.is_finished_ok, fit.exit_message
    assert fit.outputs.summary['n_structures'] == 8
    parameters['training'] = PaceLinearTraining(**keys).model_dump(mode='json')
    linear = run_job('traincraft.pace_linear', parameters, dataset=copper_dataset)
    assert sorted(linear.outputs.summary['left_out']) == sorted(fit.outputs.summary['left_out'])
