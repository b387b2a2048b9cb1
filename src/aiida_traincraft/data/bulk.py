"""The one bulk writer: many frame nodes and links under a running process, in short transactions.

The database checks neither links nor nodes written this way, so everything is checked here first. A transaction holds
at most ``NODES_PER_TRANSACTION`` nodes: longer ones would lock the daemon out of an SQLite database.
"""

from __future__ import annotations

import gc
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import uuid4

from aiida import orm
from aiida.common.constants import AIIDA_FLOAT_PRECISION
from aiida.common.hashing import make_hash
from aiida.common.links import LinkType, validate_link_label
from aiida.common.timezone import now
from aiida.manage import get_manager
from aiida.orm.entities import EntityTypes
from aiida.orm.implementation.utils import clean_value
from sqlalchemy import insert

from aiida_traincraft.data.frames.base import BATCH_FILE, content_to_hash, geometry_attributes
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.data.reading import QUERY_CHUNK
from aiida_traincraft.science.structure import Structure, to_record

NODES_PER_TRANSACTION = 2000

FrameClass = type[TrainingStructureData] | type[LabelData]


@dataclass(frozen=True)
class NewFrame:
    """A frame node to be made, and the label of the link from the process that makes it."""

    node_class: FrameClass
    structure: Structure
    link_label: str


@dataclass(frozen=True)
class ReadyFrame:
    """A frame node to be made, validated and serialised: what is left of it is written as it is."""

    node_type: str
    link_label: str
    attributes: dict[str, Any]
    record: bytes
    content_hash: str
    """What AiiDA finds an equal node by."""


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """A frame node that was made."""

    uuid: str
    fingerprint: str


def create_frames(
    process: orm.CalculationNode,
    frames: Iterable[NewFrame | ReadyFrame],
    progress: Callable[[int], None] | None = None,
) -> list[StoredFrame]:
    """Store frames as nodes created by a running process.

    Parameters
    ----------
    process
        The stored, unsealed calculation whose outputs they become; it is excluded as a source for caching, because a
        cached run would clone its outputs one by one.
    frames
        The frames, streamed: each chunk is validated, then stored whole or not at all.
    progress
        Told how many frames each chunk held.

    Returns
    -------
    list of StoredFrame
        In the order given.

    Raises
    ------
    ValueError
        If a frame is invalid or its link label belongs to another frame; nothing of its chunk is stored.

    Notes
    -----
    A frame that the process has made already under the same link label is not made again: a parser that is killed and
    started anew loses nothing and repeats nothing.
    """
    _check_process(process)
    process.base.caching.is_valid_cache = False
    made = _outputs(process)
    stored: list[StoredFrame] = []
    with _collector_paused():
        for chunk in _chunks(prepare_frames(frames), NODES_PER_TRANSACTION):
            made |= _store_chunk(process, chunk, made)
            stored += [made[frame.link_label] for frame in chunk]
            if progress is not None:
                progress(len(chunk))
            gc.collect(0)
    _analyze()
    return stored


def prepare_frames(frames: Iterable[NewFrame | ReadyFrame]) -> Iterator[ReadyFrame]:
    """Validate and serialise frames; those that are ready pass.

    Raises
    ------
    ValueError
        If a frame is not fit to be stored as its class.
    """
    # A structure node and its label node share the frame and follow each other: its geometry is judged once.
    last, geometry = None, {}
    for frame in frames:
        if isinstance(frame, ReadyFrame):
            yield frame
            continue
        value = frame.structure
        if value is not last:
            last, geometry = value, geometry_attributes(value)
        if frame.node_class is not LabelData:
            # Only read below, so the copies of Structure.bare are not needed.
            value = Structure(value.atoms, {}, value.provenance)
        attributes = _cleaned(frame.node_class.frame_attributes(value, geometry))
        node_type = frame.node_class.class_node_type
        content_hash = make_hash(content_to_hash(node_type, attributes['fingerprint']))
        yield ReadyFrame(node_type, frame.link_label, attributes, to_record(value), content_hash)


def link_inputs(process: orm.CalculationNode, uuids: Sequence[str], prefix: str) -> None:
    """Link stored data nodes as inputs of a running process, as ``<prefix>__000000``, ...; repeating does no harm.

    Raises
    ------
    ValueError
        If a UUID belongs to no stored data node.
    """
    _check_process(process)
    # A cached run would have the outputs, but not these links.
    process.base.caching.is_valid_cache = False
    if not uuids:
        return
    pks: dict[str, int] = {}
    for chunk in _chunks(dict.fromkeys(uuids), QUERY_CHUNK):
        query = orm.QueryBuilder().append(orm.Data, filters={'uuid': {'in': chunk}}, project=['uuid', 'id'])
        pks |= dict(query.iterall())
    missing = [uuid for uuid in uuids if uuid not in pks]
    if missing:
        raise ValueError(f'{len(missing)} inputs are not in the database, the first is {missing[0]}')
    links = orm.QueryBuilder().append(orm.Data, tag='data', project=[])
    links.append(orm.CalculationNode, with_incoming='data', filters={'id': process.pk}, edge_project=['label'])
    taken = set(links.all(flat=True))
    target = process.pk
    rows = [
        {'input_id': pks[uuid], 'output_id': target, 'type': LinkType.INPUT_CALC.value, 'label': label}
        for uuid, label in ((uuid, f'{prefix}__{index:06d}') for index, uuid in enumerate(uuids))
        if label not in taken
    ]
    backend = get_manager().get_profile_storage()
    for chunk in _chunks(rows, NODES_PER_TRANSACTION):
        with backend.transaction():
            backend.bulk_insert(EntityTypes.LINK, chunk)


def _store_chunk(
    process: orm.CalculationNode, chunk: list[ReadyFrame], made: dict[str, StoredFrame]
) -> dict[str, StoredFrame]:
    backend = get_manager().get_profile_storage()
    user = orm.User.collection.get_default()
    common = {'user_id': user.pk, 'process_type': None, 'description': '', 'ctime': now(), 'mtime': now()}
    batch = io.BytesIO()
    rows: dict[str, dict[str, Any]] = {}
    for frame in chunk:
        validate_link_label(frame.link_label)
        fingerprint = frame.attributes['fingerprint']
        if (
            frame.link_label in rows
            or made.get(frame.link_label, StoredFrame('', fingerprint)).fingerprint != fingerprint
        ):
            raise ValueError(f'process {process.pk} has an output {frame.link_label!r} already')
        if frame.link_label in made:
            continue
        rows[frame.link_label] = common | {
            'uuid': str(uuid4()),
            'label': fingerprint,
            'node_type': frame.node_type,
            'attributes': frame.attributes | {'offset': batch.tell(), 'nbytes': len(frame.record)},
            'extras': {'_aiida_hash': frame.content_hash},
        }
        batch.write(frame.record)
    if not rows:
        return {}
    batch.seek(0)
    key = backend.get_repository().put_object_from_filelike(batch)
    for row in rows.values():
        row['repository_metadata'] = {'o': {BATCH_FILE: {'k': key}}}
    # Beside another writer SQLite refuses at once to write in a transaction that has begun with a read.
    session, entity, source = backend.get_session(), backend.nodes.ENTITY_CLASS, process.pk
    with backend.transaction():
        # Not the backend's bulk_insert: it reads every row back as an entity, a quarter of the time.
        node = entity.MODEL_CLASS
        inserted = session.execute(insert(node).returning(node.uuid, node.id), list(rows.values()))
        # PostgreSQL gives UUID objects.
        pks = {str(uuid): pk for uuid, pk in inserted.all()}
        links = [
            {'input_id': source, 'output_id': pks[row['uuid']], 'type': LinkType.CREATE.value, 'label': label}
            for label, row in rows.items()
        ]
        session.execute(insert(entity.LINK_CLASS), links)
    return {label: StoredFrame(row['uuid'], row['label']) for label, row in rows.items()}


def _cleaned(attributes: dict[str, Any]) -> dict[str, Any]:
    """Round floats as AiiDA does when it stores a node; its own walk over the attributes costs a seventh of all."""
    return {key: _rounded(value) if isinstance(value, float) else value for key, value in attributes.items()}


def _rounded(value: float) -> Any:
    text = f'{value:.{AIIDA_FLOAT_PRECISION}g}'
    # Beside plain numbers there are NaN, and large ones that become integers.
    return float(text) if text[-1].isdigit() and 'e' not in text else clean_value(value)


def _check_process(process: orm.CalculationNode) -> None:
    if not isinstance(process, orm.CalculationNode):
        raise ValueError(f'{process} is no calculation: only calculations create data')
    if not process.is_stored or process.is_sealed:
        raise ValueError(f'process {process.pk} must be stored and still running')


def _outputs(process: orm.CalculationNode) -> dict[str, StoredFrame]:
    """Data that a process has made, by link label, without loading the nodes."""
    query = orm.QueryBuilder().append(orm.CalculationNode, filters={'id': process.pk}, tag='process')
    query.append(orm.Data, with_incoming='process', edge_project=['label'], project=['uuid', 'label'])
    return {label: StoredFrame(uuid, fingerprint) for uuid, fingerprint, label in query.iterall()}


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause garbage collection: it would walk every object of the process again and again, a quarter of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _analyze() -> None:
    """Refresh PostgreSQL's statistics: its first query after a bulk insert is slow without."""
    backend = get_manager().get_profile_storage()
    if type(backend).__module__.startswith('aiida.storage.psql_dos'):
        from sqlalchemy import text

        backend.get_session().execute(text('ANALYZE db_dbnode, db_dblink'))
