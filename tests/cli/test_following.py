"""What is told when nothing works on a campaign any more, and what ``resume`` does then."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from types import SimpleNamespace

import psutil
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ProcessState
from aiida.plugins import BrokerFactory

from aiida_traincraft.cli import following
from aiida_traincraft.cli import profile as profiles
from aiida_traincraft.cli.retry import wait
from aiida_traincraft.cli.run import _watch
from aiida_traincraft.provenance import campaign as campaigns
from aiida_traincraft.workchains.active_learning import ActiveLearningWorkChain


@pytest.fixture
def campaign(aiida_profile):
    """A campaign that waits for a training, which waits for a job."""
    node = orm.WorkChainNode()
    node.label = 'followed'
    node.process_type = ActiveLearningWorkChain.build_process_type()
    config = orm.Dict({'run': {'name': 'followed', 'outdir': 'runs'}, 'loop': {'max_cycles': 2}}).store()
    node.base.links.add_incoming(config, LinkType.INPUT_WORK, 'config')
    train = called(node.store(), orm.WorkChainNode(), 'label_001')
    called(train, orm.CalcJobNode(), 'job')
    node.set_process_state(ProcessState.WAITING)
    yield node
    for process in (node, *node.called_descendants):
        process.set_process_state(ProcessState.KILLED)


def called(parent, node, key):
    kind = LinkType.CALL_WORK if isinstance(node, orm.WorkChainNode) else LinkType.CALL_CALC
    node.base.links.add_incoming(parent, kind, key)
    node.set_process_state(ProcessState.CREATED)
    node.set_process_label('Called')
    return node.store()


class BrokerStandIn(BrokerFactory('core.zeromq')):
    """A broker as its files tell of it."""

    def __init__(self, alive=True, listeners=1, pid=None):
        self.alive, self.status = alive, {'task_subscribers': listeners, 'pid': pid or os.getpid()}

    def check_service_reachable(self):
        return self.alive

    def probe_service_status(self):
        return self.status


@pytest.fixture
def daemon(aiida_profile, monkeypatch):
    """A daemon that lives; the function returned gives it a broker."""
    monkeypatch.setattr(profiles, 'is_alive', lambda: True)

    def make(broker, answers=None):
        controller = SimpleNamespace(get_status=lambda pid: SimpleNamespace(result=lambda _seconds: answers(pid)))
        manager = SimpleNamespace(get_broker=lambda: broker, get_process_controller=lambda: controller)
        monkeypatch.setattr(profiles, 'get_manager', lambda: manager)

    return make


@pytest.mark.parametrize(
    'follow', [lambda pk, folder: wait(pk, 'traincraft resume 7'), _watch], ids=['train, retry-failed', 'run, watch']
)
def test_a_dead_daemon_ends_whoever_follows_with_1(campaign, follow, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        follow(campaign.pk, tmp_path)
    assert ended.value.code == 1
    assert 'the daemon is not running; go on with: traincraft resume ' in capsys.readouterr().out


def test_watch_and_status_tell_of_a_dead_daemon(campaign, traincraft):
    told = f'the daemon is not running; go on with: traincraft resume {campaign.pk}'
    watched = traincraft('watch', campaign.pk)
    assert watched.exit_code == 1
    assert told in watched.output
    for arguments in (['status', campaign.pk], ['status']):
        assert told in traincraft(*arguments).output


def test_a_broker_that_died_alone_is_told(daemon, monkeypatch):
    daemon(BrokerStandIn())
    assert profiles.ailment() is None
    daemon(BrokerStandIn(alive=False))
    assert profiles.ailment() == 'the broker is not running'
    # The daemon started it anew: the workers do not come over. Just after a start they are not there yet.
    daemon(BrokerStandIn(listeners=0))
    monkeypatch.setattr(profiles, 'BROKER_TIMEOUT', time.time() - psutil.Process().create_time() + 100)
    assert profiles.ailment() is None
    monkeypatch.setattr(profiles, 'BROKER_TIMEOUT', 0)
    assert profiles.ailment() == 'no worker listens to the broker'


def test_what_is_held_up_is_named_once(campaign, daemon, monkeypatch, capsys):
    daemon(BrokerStandIn())
    train, job = sorted(campaign.called_descendants, key=lambda node: node.pk)
    assert campaigns.held_up(campaign) == []
    train.set_process_status('the computer does not answer')
    train.pause()
    monkeypatch.setattr(campaigns, 'LATEST_START', timedelta(0))
    monkeypatch.setattr(following, 'HELD_UP_SECONDS', 0)
    polls = iter([None, None])

    def sleep(_seconds):
        if next(polls, campaign) is campaign:
            raise KeyboardInterrupt

    monkeypatch.setattr(following, 'time', SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    assert not wait(campaign.pk, 'traincraft resume 7')
    told = capsys.readouterr().out
    paused = f'Called<{train.pk}> is paused: the computer does not answer; let it go on with: traincraft resume 7'
    overdue = f'Called<{job.pk}> has not begun for more than 0 minutes; let it go on with: traincraft resume 7'
    assert told.count(paused) == told.count(overdue) == 1


def test_resume_leaves_a_daemon_that_works_alone(campaign, daemon, traincraft, monkeypatch):
    stopped = []
    monkeypatch.setattr(profiles, 'stop_daemon', lambda: stopped.append(True))
    monkeypatch.setattr(profiles, 'repair', lambda _name: None)
    monkeypatch.setattr(profiles, 'ensure_daemon', lambda _workers: False)
    daemon(BrokerStandIn(), lambda _pid: {'state': 'waiting'})
    assert 'it runs already' in traincraft('resume', campaign.pk, '--detach').output
    assert stopped == []


@pytest.mark.parametrize('error', [TimeoutError('in a long step'), RuntimeError('Recipient not found: 7')])
def test_resume_starts_the_daemon_again_for_a_process_that_no_worker_has(campaign, daemon, error):
    def answer(_pid):
        raise error

    daemon(BrokerStandIn(), answer)
    expected = f'no worker has {campaign.process_label}<{campaign.pk}> ({error})'
    assert profiles.lost([campaign]) == (None if isinstance(error, TimeoutError) else expected)


def test_resume_starts_the_daemon_again_for_a_process_that_does_not_begin(campaign, daemon, monkeypatch):
    daemon(BrokerStandIn(), lambda _pid: True)
    assert profiles.lost([campaign]) is None
    monkeypatch.setattr(campaigns, 'LATEST_START', timedelta(0))
    assert 'has not begun' in profiles.lost([campaign])
