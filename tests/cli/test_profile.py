"""How commands wait for the daemon."""

from __future__ import annotations

from types import SimpleNamespace

import click
import pytest
from aiida.plugins import BrokerFactory

from aiida_traincraft.cli import profile as profiles


class SlowBrokerStandIn(BrokerFactory('core.zeromq')):
    """A broker that is not ready the first few times that it is asked, as on a machine that is very busy."""

    def __init__(self, refusals: int) -> None:
        self.refusals, self.asked = refusals, 0

    def get_communicator(self):
        self.asked += 1
        if self.asked <= self.refusals:
            raise ConnectionError('Broker did not become ready within 10.0s')


@pytest.fixture
def slow_broker(aiida_profile, monkeypatch):
    def make(refusals):
        broker = SlowBrokerStandIn(refusals)
        monkeypatch.setattr(profiles, 'get_manager', lambda: SimpleNamespace(get_broker=lambda: broker))
        return broker

    return make


def test_a_broker_that_is_slow_to_start_is_waited_for(slow_broker):
    broker = slow_broker(2)
    profiles.await_broker()
    assert broker.asked == 3


def test_a_broker_that_never_starts_is_told(slow_broker):
    slow_broker(10**6)
    with pytest.raises(click.ClickException, match=r'did not become ready .* its log is in /'):
        profiles.await_broker(seconds=0.01)
