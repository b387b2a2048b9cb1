"""Two workers run the same WorkChain, as when one was taken for dead and is not; run as a program of its own.

Arguments: the empty folder that ``AIIDA_PATH`` names, and kind and place of the storage of a new profile as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ToContext, while_
from aiida.engine.utils import instantiate_process
from plumpy.persistence import LoadSaveContext

from aiida_traincraft.workchains.base import TraincraftWorkChain

ROUNDS = 5
PATIENCE = 300.0


class ChildWorkChain(TraincraftWorkChain):
    """What should be started once."""

    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.outline(cls.work)

    def work(self):
        return None


class RacingWorkChain(TraincraftWorkChain):
    """Start a child each round, when the other worker is there too."""

    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.outline(while_(cls.has_work)(cls.work))

    def has_work(self):
        return self.ctx.setdefault('round', 0) < ROUNDS

    def work(self):
        self.ctx.round += 1
        folder = Path(sys.argv[1])
        (folder / f'{os.getpid()}_{self.ctx.round}').touch()
        deadline = time.monotonic() + PATIENCE
        while len(list(folder.glob(f'*_{self.ctx.round}'))) < 2 and time.monotonic() < deadline:
            time.sleep(0.001)
        return ToContext(child=self.submit_once(f'child_{self.ctx.round}', ChildWorkChain, self.shared_inputs()))


def main() -> None:
    folder = Path(sys.argv[1])
    from aiida.manage import get_manager
    from aiida.manage.configuration import create_profile, get_config, load_profile

    if sys.argv[2] == 'worker':
        load_profile('two')
        runner = get_manager().create_runner(poll_interval=0.1)
        get_manager().set_runner(runner)
        process = runner.persister.load_checkpoint(int(sys.argv[3])).unbundle(LoadSaveContext(runner=runner))
        process.execute()
        return
    backend, storage = json.loads(sys.argv[2])
    config = get_config(create=True)
    create_profile(config, name='two', email='a@b.c', storage_backend=backend, storage_config=storage)
    config.store()
    load_profile('two')
    inputs = {'config': orm.Dict({})}
    node = instantiate_process(get_manager().get_runner(), RacingWorkChain, **inputs).node
    command = [sys.executable, __file__, str(folder), 'worker', str(node.pk)]
    workers = [subprocess.Popen(command) for _ in range(2)]
    statuses = [worker.wait(PATIENCE) for worker in workers]
    links = node.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all()
    # Of the workers, not of the node: AiiDA lets one that is late write "running" over "finished".
    print('finished' if 0 in statuses else statuses, *sorted(link.link_label for link in links))


if __name__ == '__main__':
    # The workers find the classes by their module.
    sys.path.insert(0, str(Path(__file__).parent))
    import two_workers

    two_workers.main()
