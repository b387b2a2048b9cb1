"""Several programs write to one database: wait for the others, and be alone where only one may act."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiida import orm
from aiida.manage import get_manager
from sqlalchemy import Connection, event, text, update

LONGEST_WAIT = 300
"""Seconds that SQLite waits for another writer; after its own five a busy machine loses what it wanted to write."""


def wait_for_writers() -> None:
    """Let this program wait ``LONGEST_WAIT`` for other writers to an SQLite database; no others refuse to wait."""
    connection: Connection = get_manager().get_profile_storage().get_session().connection()
    if connection.dialect.name != 'sqlite' or event.contains(connection.engine, 'connect', _wait):
        return
    event.listen(connection.engine, 'connect', _wait)
    connection.execute(text(_WAITING))


_WAITING = f'PRAGMA busy_timeout = {1000 * LONGEST_WAIT}'


def _wait(connection: Any, _record: Any) -> None:
    connection.execute(_WAITING)


@contextmanager
def alone_at(node: orm.Node) -> Iterator[None]:
    """Hold a stored node against all other connections that want to hold it; what is stored meanwhile is stored whole.

    Others wait. Where this program dies or an exception leaves the block, nothing of it is stored.
    """
    backend, pk = get_manager().get_profile_storage(), node.pk
    session, model = backend.get_session(), backend.nodes.ENTITY_CLASS.MODEL_CLASS
    # It changes nothing, but takes the row (PostgreSQL) or the right to write (SQLite, which refuses that to a
    # transaction that began with a read).
    hold = update(model).where(model.id == pk).values(mtime=model.mtime)
    try:
        with backend.transaction():
            session.execute(hold.execution_options(synchronize_session=False))
            yield
    except BaseException:
        session.rollback()
        raise
