"""Nodes by their identifier, and many frames at once: one query, each batch object opened once."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from aiida import orm
from aiida.common import exceptions
from aiida.manage import get_manager

from aiida_traincraft.data.frames.base import BATCH_FILE
from aiida_traincraft.science.config.run import SHOWN_UUID
from aiida_traincraft.science.structure import Structure, from_record

PK = re.compile('[0-9]{1,18}')
UUID_START = re.compile('[0-9a-fA-F-]*[0-9a-fA-F][0-9a-fA-F-]*')
QUERY_CHUNK = 5000
READ_CHUNK = 1000


def find_node(identifier: str) -> orm.Node | None:
    """Node of this PK or UUID (or its beginning); None if there is none, or more than one."""
    keys: list[dict[str, Any]] = [{'pk': int(identifier)}] if PK.fullmatch(identifier) else []
    # Of the UUIDs that are shown by eight digits, one in forty looks like a PK.
    if UUID_START.fullmatch(identifier) and (not keys or len(identifier) >= SHOWN_UUID):
        keys.append({'uuid': identifier})
    for key in keys:
        try:
            node: orm.Node = orm.load_node(**key)
        except (exceptions.NotExistent, exceptions.MultipleObjectsError):
            continue
        return node
    return None


def find_output(process: orm.ProcessNode, label: str) -> orm.Data | None:
    """Output of a process by its link label, or None; the others, of which there may be 10^5, are not loaded."""
    query = orm.QueryBuilder().append(orm.ProcessNode, filters={'id': process.pk}, tag='process')
    query.append(orm.Data, with_incoming='process', edge_filters={'label': label})
    node: orm.Data | None = query.first(flat=True)
    return node


def read_structures(uuids: Sequence[str]) -> list[Structure]:
    """Read frames of structure or label nodes, in the order given.

    Parameters
    ----------
    uuids
        UUIDs of stored frame nodes.

    Returns
    -------
    list of Structure
        One per UUID.

    Raises
    ------
    ValueError
        If a UUID belongs to no node.
    """
    return list(iterate_structures(uuids))


def iterate_structures(uuids: Sequence[str]) -> Iterator[Structure]:
    """Read as :func:`read_structures`, holding ``READ_CHUNK`` frames at a time."""
    for start in range(0, len(uuids), READ_CHUNK):
        yield from _read_chunk(uuids[start : start + READ_CHUNK])


def _read_chunk(uuids: Sequence[str]) -> Iterator[Structure]:
    places: dict[str, tuple[str, int, int]] = {}
    query = orm.QueryBuilder()
    query.append(
        orm.Data,
        filters={'uuid': {'in': list(uuids)}},
        project=['uuid', 'repository_metadata', 'attributes.offset', 'attributes.nbytes'],
    )
    for uuid, metadata, offset, nbytes in query.iterall():
        places[uuid] = (_object_key(metadata), offset, nbytes)
    missing = [uuid for uuid in uuids if uuid not in places]
    if missing:
        raise ValueError(f'{len(missing)} nodes are not in the database, the first is {missing[0]}')
    batches: dict[str, list[str]] = defaultdict(list)
    for uuid, (key, _, _) in places.items():
        batches[key].append(uuid)
    records: dict[str, bytes] = {}
    repository = get_manager().get_profile_storage().get_repository()
    for key, members in batches.items():
        with repository.open(key) as handle:
            for uuid in sorted(members, key=lambda member: places[member][1]):
                _, offset, nbytes = places[uuid]
                handle.seek(offset)
                records[uuid] = handle.read(nbytes)
    return (from_record(records[uuid]) for uuid in uuids)


def _object_key(metadata: dict[str, Any]) -> str:
    return str(metadata['o'][BATCH_FILE]['k'])
