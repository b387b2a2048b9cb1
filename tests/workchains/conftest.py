"""Run WorkChains of the loop one by one, for real, in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import WorkflowFactory

from aiida_traincraft.science.config.campaign import parse_campaign


@pytest.fixture(scope='session')
def run_workchain(python_code) -> Callable[..., orm.WorkChainNode]:
    """Function that runs a WorkChain by its entry point with the config of a campaign; returns its node."""

    def run(entry_point: str, content: dict[str, Any], **inputs: Any) -> orm.WorkChainNode:
        config = orm.Dict(parse_campaign(content).model_dump(mode='json'))
        inputs = {'codes': {'ase': python_code, 'pace': python_code}} | inputs
        _, node = run_get_node(WorkflowFactory(entry_point), config=config, **inputs)
        return node

    return run
