"""A WorkChain that repeats a step, as one does that was killed inside it, finds its children again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ExitCode, ProcessState, ToContext, calcfunction, run_get_node
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.plugins import CalculationFactory

from aiida_traincraft.data.frames.pool import FramesData
from aiida_traincraft.workchains.base import TraincraftWorkChain


@calcfunction
def double(value: orm.Int) -> orm.Int:
    """A function whose calls can be counted."""
    return orm.Int(2 * value.value)


@calcfunction
def split(value: orm.Int) -> dict[str, orm.Int]:
    """A function with several outputs."""
    return {'half': orm.Int(value.value // 2), 'rest': orm.Int(value.value % 2)}


class RepeatingWorkChain(TraincraftWorkChain):
    """Does its step twice, as after an interruption at its end."""

    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input('starts', valid_type=FramesData)
        spec.input('number', valid_type=orm.Int)
        spec.output('doubled', valid_type=orm.Int)
        spec.outline(cls.work, cls.inspect)
        spec.exit_code(400, 'ERROR_STARTED_TWICE', message='{reason}')

    def work(self):
        first = self._work()
        # Killed here: what was submitted and called stays in the database, the context does not.
        second = self._work()
        self.ctx.same = first.uuid == second.uuid
        return ToContext(job=second)

    def _work(self):
        doubled = self.call_once('double', double, value=self.inputs.number)
        self.ctx.split = self.call_once('split', split, value=self.inputs.number)
        self.ctx.doubled = doubled
        run = {'start': 0, 'sampler': {'type': 'rattle', 'n': 1}, 'seed': doubled.value}
        inputs = {
            'code': self.inputs.codes.ase,
            'starts': self.inputs.starts,
            'parameters': orm.Dict({'runs': [run], 'calculator': None, 'watch': None}),
        }
        return self.submit_once('job', CalculationFactory('traincraft.sample'), inputs)

    def inspect(self):
        if (reason := self.failed([self.ctx.job])) is not None:
            return ExitCode(1, reason)
        if not self.ctx.same or self.ctx.split['half'].value != 3:
            return self.exit_codes.ERROR_STARTED_TWICE.format(reason='another job')
        self.out('doubled', self.ctx.doubled)
        return None


@pytest.fixture
def inputs(python_code, copper_frames):
    return {
        'config': orm.Dict({}),
        'codes': {'ase': python_code},
        'starts': FramesData([copper_frames[0].bare()]).store(),
        'number': orm.Int(7),
    }


@pytest.fixture
def workchain(inputs):
    """A WorkChain that has not begun."""
    return instantiate_process(get_manager().get_runner(), RepeatingWorkChain, **inputs)


def add_child(workchain, key, state, exit_status=None, result=None):
    """A child as the engine links it."""
    node = orm.CalcFunctionNode() if result is not None else orm.CalcJobNode()
    node.base.links.add_incoming(workchain.node, link_type=LinkType.CALL_CALC, link_label=key)
    node.set_process_state(state)
    if exit_status is not None:
        node.set_exit_status(exit_status)
    node.store()
    if result is not None:
        result.base.links.add_incoming(node, link_type=LinkType.CREATE, link_label='result')
        result.store()
    return node


def test_a_repeated_step_starts_nothing_twice(inputs):
    result, node = run_get_node(RepeatingWorkChain, **inputs)
    assert node.is_finished_ok, node.exit_message
    assert result['doubled'].value == 14
    links = node.base.links.get_outgoing(link_type=(LinkType.CALL_CALC, LinkType.CALL_WORK)).all()
    assert sorted(link.link_label for link in links) == ['double', 'job', 'split']


@pytest.mark.parametrize('state', [ProcessState.CREATED, ProcessState.WAITING, ProcessState.RUNNING])
def test_a_running_child_is_adopted(workchain, inputs, state):
    child = add_child(workchain, 'job', state)
    assert workchain.submit_once('job', CalculationFactory('traincraft.sample'), {}).pk == child.pk


@pytest.mark.parametrize('exit_status', [0, 400])
def test_a_finished_child_is_adopted_whichever_way_it_ended(workchain, exit_status):
    child = add_child(workchain, 'job', ProcessState.FINISHED, exit_status)
    assert workchain.submit_once('job', CalculationFactory('traincraft.sample'), {}).pk == child.pk


@pytest.mark.parametrize('state', [ProcessState.EXCEPTED, ProcessState.KILLED])
def test_a_lost_child_is_started_again(workchain, monkeypatch, state):
    add_child(workchain, 'job', state)
    submitted = []
    monkeypatch.setattr(workchain.runner, 'instantiate_process', lambda _process, **inputs: submitted.append(inputs))
    monkeypatch.setattr(workchain.runner, 'submit', lambda _fresh: orm.CalcJobNode())
    workchain.submit_once('job', CalculationFactory('traincraft.sample'), {'metadata': {'options': {'a': 1}}})
    assert submitted == [{'metadata': {'options': {'a': 1}, 'call_link_label': 'job'}}]


def test_keys_are_compared_whole(workchain):
    # In a pattern of the database "_" stands for any character.
    add_child(workchain, 'label_x001', ProcessState.FINISHED, 0)
    other = add_child(workchain, 'labelx001', ProcessState.FINISHED, 0)
    assert not workchain._children('label_001')
    assert not workchain._children('label__001')
    assert workchain._children('labelx001') == [other]


def test_a_call_that_finished_is_not_repeated(workchain):
    add_child(workchain, 'double', ProcessState.FINISHED, 0, orm.Int(99))
    assert workchain.call_once('double', double, value=orm.Int(1)).value == 99


def test_a_call_that_did_not_finish_is_repeated(workchain, monkeypatch):
    monkeypatch.setattr('aiida.engine.processes.process.Process.current', classmethod(lambda cls: workchain))
    for state, status in ((ProcessState.EXCEPTED, None), (ProcessState.FINISHED, 1), (ProcessState.RUNNING, None)):
        add_child(workchain, 'double', state, status, orm.Int(99))
    assert workchain.call_once('double', double, value=orm.Int(1)).value == 2


def test_failed_describes_the_first_that_did_not_end_well(workchain):
    good = add_child(workchain, 'a', ProcessState.FINISHED, 0)
    bad = add_child(workchain, 'b', ProcessState.FINISHED, 302)
    killed = add_child(workchain, 'c', ProcessState.KILLED)
    assert workchain.failed([good]) is None
    assert f'<{bad.pk}> ended with status 302' in workchain.failed([good, bad, killed])
    assert 'ended with status killed' in workchain.failed([killed, good])


class FailingWorkChain(RepeatingWorkChain):
    """Fails when it is told of the end of its job."""

    def _sent_again(self, job):
        raise RuntimeError('lost the database')


def test_what_fails_between_two_steps_ends_the_workchain(inputs):
    with pytest.raises(RuntimeError, match='lost the database'):
        run_get_node(FailingWorkChain, **inputs)
    node = orm.QueryBuilder().append(orm.WorkChainNode).order_by({orm.WorkChainNode: {'id': 'desc'}}).first(flat=True)
    assert node.is_excepted
    assert 'lost the database' in node.exception


def test_a_child_is_stored_whole_or_not_at_all(workchain, inputs, monkeypatch):
    """A worker that dies here leaves nothing that another would take for a child."""
    job = {'code': inputs['codes']['ase'], 'starts': inputs['starts'], 'parameters': orm.Dict({'runs': []})}

    def die(_process):
        raise RuntimeError('killed')

    with monkeypatch.context() as patch:
        patch.setattr('aiida.engine.processes.process.Process.current', classmethod(lambda cls: workchain))
        patch.setattr(workchain.runner.persister, 'save_checkpoint', die)
        with pytest.raises(RuntimeError, match='killed'):
            workchain.submit_once('job', CalculationFactory('traincraft.sample'), job)
    assert workchain._children('job') == []
    assert not orm.QueryBuilder().append(orm.Dict, filters={'uuid': job['parameters'].uuid}).count()


def test_two_workers_at_one_workchain_start_nothing_twice(tmp_path):
    program = Path(__file__).with_name('two_workers.py')
    storage = json.dumps(['core.sqlite_dos', {'filepath': str(tmp_path / 'storage')}])
    done = subprocess.run(
        [sys.executable, program, tmp_path, storage],
        check=False,
        env=os.environ | {'AIIDA_PATH': str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ['finished', *(f'child_{number}' for number in range(1, 6))], done.stderr
