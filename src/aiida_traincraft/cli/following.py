"""Follow a process until it ends: ``run``, ``watch``, ``resume``, ``train`` and ``retry-failed``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from aiida import orm
from rich.console import Console

from aiida_traincraft.cli.profile import ailment
from aiida_traincraft.provenance.campaign import held_up

POLL_SECONDS = 2.0
HELD_UP_SECONDS = 60.0
"""Between two looks for processes that are held up."""


def follow(pk: int, tell: Callable[[orm.ProcessNode], str], resume: str, come_back: str) -> bool:
    """Show where a process stands until it ends; False if the user stopped that before.

    The command ends with status 1 when nothing works on processes any more.

    Parameters
    ----------
    pk
        The process.
    tell
        Where it stands, in a line; asked whenever a process of the profile moved.
    resume
        Command that goes on when daemon or broker died, and with processes that are held up.
    come_back
        Command that shows it again.
    """
    console, start = Console(markup=False), time.monotonic()
    last, line, seen, looked, told = '', '', None, float('-inf'), set()
    newest = orm.QueryBuilder().append(orm.ProcessNode, project='mtime', tag='process')
    newest.order_by({'process': {'mtime': 'desc'}}).limit(1)

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    try:
        with console.status('starting') as spinner:
            while True:
                if (changed := newest.first(flat=True)) != seen:
                    # Nothing is read again while no process moved: the cores belong to the jobs.
                    node, seen = orm.load_node(pk), changed
                    line = tell(node)
                spinner.update(f'{line} [{time.monotonic() - start:.0f} s]')
                if line != last and not console.is_terminal:
                    say(line)
                last = line
                if node.is_terminated:
                    return True
                if why := ailment():
                    say(f'{why}; go on with: {resume}')
                    sys.exit(1)
                if time.monotonic() > looked + HELD_UP_SECONDS:
                    looked = time.monotonic()
                    for reason in held_up(node):
                        if reason not in told:
                            say(f'{reason}; let it go on with: {resume}')
                        told.add(reason)
                time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        say(f'\nit goes on; come back with: {come_back}')
        return False
