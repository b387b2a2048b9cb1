"""Several programs at one database: two workers for one WorkChain are tested in ``tests/workchains``."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.manage import get_manager
from sqlalchemy import text

from aiida_traincraft.data.locks import LONGEST_WAIT, alone_at, wait_for_writers


def test_sqlite_waits_for_other_writers(aiida_profile):
    wait_for_writers()
    session = get_manager().get_profile_storage().get_session()
    assert session.execute(text('PRAGMA busy_timeout')).scalar() == 1000 * LONGEST_WAIT
    with session.get_bind().connect() as other:
        assert other.execute(text('PRAGMA busy_timeout')).scalar() == 1000 * LONGEST_WAIT


def store_and_die(node, lost):
    with alone_at(node):
        lost.store()
        raise RuntimeError('half')


def test_what_is_stored_at_a_held_node_is_stored_whole(aiida_profile):
    node = orm.Int(1).store()
    changed = node.mtime
    with alone_at(node):
        kept = orm.Int(2).store()
    lost = orm.Int(3)
    with pytest.raises(RuntimeError, match='half'):
        store_and_die(node, lost)
    found = orm.QueryBuilder().append(orm.Int, filters={'uuid': {'in': [kept.uuid, lost.uuid]}}).all(flat=True)
    assert found == [kept]
    assert node.mtime == changed
