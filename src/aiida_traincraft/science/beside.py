"""A generator in a process of its own: its work and that of the loop over it take turns no longer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar

AT_ONCE = 50

Item = TypeVar('Item')


def iterate_beside(function: Callable[..., Iterable[Item]], *arguments: Any) -> Iterator[Item]:
    """Yield what a generator yields that runs in another process of this machine, a few items ahead.

    Parameters
    ----------
    function
        Gives the items; importable by name, as its arguments and items must be picklable.
    *arguments
        Its arguments.

    Raises
    ------
    RuntimeError
        If the other process dies.
    Exception
        What the generator raises.
    """
    # "spawn": a copy of this process would share its database connections.
    context = get_context('spawn')
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_feed, args=(sender, function, arguments), daemon=True)
    process.start()
    # The pipe must end when the other process does, and that process when this one does.
    sender.close()
    try:
        while True:
            try:
                batch = receiver.recv()
            except EOFError:
                process.join()
                raise RuntimeError(f'the process that reads died with exit status {process.exitcode}') from None
            if batch is None:
                return
            if isinstance(batch, Exception):
                raise batch
            yield from batch
    finally:
        receiver.close()
        process.join()


def _feed(sender: Connection, function: Callable[..., Iterable[Any]], arguments: tuple[Any, ...]) -> None:
    try:
        items = iter(function(*arguments))
        while batch := list(islice(items, AT_ONCE)):
            sender.send(batch)
        sender.send(None)
    except BrokenPipeError:
        return
    except Exception as error:
        sender.send(error)
