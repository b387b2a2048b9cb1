"""A generator in a process of its own: its work and that of the loop over it take turns no longer."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, BinaryIO, TypeVar

AT_ONCE = 50

Item = TypeVar('Item')


def read_ahead(function: Callable[..., Iterable[Item]], *arguments: Any) -> Iterator[Item]:
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
    # A program of its own: multiprocessing would run the caller's script again, or copy its database connections.
    command = [sys.executable, '-m', __name__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdin as stdin:
            pickle.dump((function, arguments), stdin)
        try:
            while True:
                try:
                    batch = pickle.load(process.stdout)  # noqa: S301 (our own process)
                except (EOFError, pickle.UnpicklingError):
                    raise RuntimeError(f'the process that reads died with exit status {process.wait()}') from None
                if batch is None:
                    return
                if isinstance(batch, Exception):
                    raise batch
                yield from batch
        finally:
            # A generator that is not at its end stops at the closed pipe.
            process.stdout.close()


def _feed(function: Callable[..., Iterable[Any]], arguments: tuple[Any, ...], stream: BinaryIO) -> None:
    try:
        try:
            items = iter(function(*arguments))
            while batch := list(islice(items, AT_ONCE)):
                pickle.dump(batch, stream)
            pickle.dump(None, stream)
        except BrokenPipeError:
            raise
        except Exception as error:
            pickle.dump(error, stream)
        stream.flush()
    except BrokenPipeError:
        # Nobody reads any more: nothing is left to do, not even to flush what is buffered.
        stream.raw.close()  # type: ignore[attr-defined]


if __name__ == '__main__':
    # Ctrl-C is for the process that reads; what is printed must not get into the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe, sys.stdout = sys.stdout.buffer, sys.stderr
    given, its_arguments = pickle.load(sys.stdin.buffer)  # noqa: S301 (our own process)
    _feed(given, its_arguments, pipe)
