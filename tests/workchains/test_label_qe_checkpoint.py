"""A labelling that is loaded from its checkpoint, as after the death of a daemon, goes on where it was."""

from __future__ import annotations

import asyncio

import pytest
from aiida import orm
from aiida.engine import ProcessState
from aiida.engine.persistence import AiiDAPersister, ObjectLoader
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.plugins import WorkflowFactory
from aiida_quantumespresso.workflows.pw.base import PwBaseWorkChain
from plumpy.persistence import LoadSaveContext

from aiida_traincraft.science.config.loader import parse_campaign


async def wait_for(node: orm.WorkChainNode) -> None:
    while not node.is_terminated:
        await asyncio.sleep(0.1)


@pytest.mark.parametrize('ended_meanwhile', [False, True])
@pytest.mark.long
def test_it_goes_on_from_its_checkpoint(
    silicon_content, store_structures, silicon_frames, pw_code, fresh_level, ended_meanwhile
):
    content = silicon_content(max_concurrent=1, **fresh_level())
    config = orm.Dict(parse_campaign(content).model_dump(mode='json'))
    runner = get_manager().get_runner()
    process = instantiate_process(
        runner,
        WorkflowFactory('traincraft.label.qe'),
        config=config,
        structures=store_structures(silicon_frames[:2]),
        codes={'pw': pw_code},
    )
    # As far as it goes before it waits for the first run of pw.x.
    while process.state != ProcessState.WAITING or not process.ctx.get('running'):
        runner.loop.run_until_complete(process.step())
    (first,) = [child for child in process.node.called if child.process_class is PwBaseWorkChain]
    assert not first.is_terminated

    persister = AiiDAPersister()
    persister.save_checkpoint(process)
    if ended_meanwhile:
        runner.loop.run_until_complete(wait_for(first))
    context = LoadSaveContext(loader=ObjectLoader(), runner=runner)
    loaded = persister.load_checkpoint(process.node.pk).unbundle(context)
    assert loaded is not process
    assert len(loaded.ctx.running) == 1
    runner.loop.run_until_complete(loaded.step_until_terminated())
    node = loaded.node
    assert node.is_finished_ok, node.exit_message
    assert [row.status for row in node.outputs.ledger.rows] == ['ok', 'ok']
    runs = [child for child in node.called if child.process_class is PwBaseWorkChain]
    assert len(runs) == 2
    assert runs[0].pk == first.pk
