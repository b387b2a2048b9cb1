"""A WorkChain that starts the next child as soon as one ends."""

from __future__ import annotations

from functools import partial

from aiida import orm
from aiida.engine import ProcessState
from aiida.engine.processes.workchains.awaitable import Awaitable

from aiida_traincraft.workchains.base import TraincraftWorkChain


class ThrottledWorkChain(TraincraftWorkChain):
    """Wake up when the first of the children ends that a step waits for; the engine's own waits for the last.

    A subclass repeats two steps: one fills the free slots and returns all that run, one collects what has ended.
    """

    def free_slots(self, running: int) -> int:
        """How many children may be started beside those that run."""
        return max(self.config.run.max_concurrent - running, 0)

    def _action_awaitables(self) -> None:
        # Lost with this object, as the callbacks are: a WorkChain loaded from its checkpoint registers them anew.
        watched: set[int] = self.__dict__.setdefault('_watched', set())
        for awaitable in self._awaitables:
            callback = partial(self.call_soon, self._on_awaitable_finished, awaitable)
            if awaitable.pk not in watched:
                watched.add(awaitable.pk)
                self.runner.call_on_process_finish(awaitable.pk, callback)
            elif orm.load_node(awaitable.pk).is_terminated:
                # It ended while no step waited for it.
                callback()

    def _on_awaitable_finished(self, awaitable: Awaitable) -> None:
        for current in self._awaitables:
            if current.pk == awaitable.pk:
                super()._on_awaitable_finished(current)
                if not hasattr(current, 'resolved'):
                    # Another job was sent in its place.
                    return
                break
        if self.state == ProcessState.WAITING:
            self.resume()
