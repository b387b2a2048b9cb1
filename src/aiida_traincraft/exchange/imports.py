"""Labelled frames from files as nodes: judged first, then stored by one process node, chunk by chunk, resumable."""

from __future__ import annotations

import fcntl
import json
import string
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import IO, Any

from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ProcessState
from aiida.manage import get_manager
from aiida.manage.configuration import get_config

from aiida_traincraft.data.bulk import ReadyFrame, create_frames, link_inputs
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData, full_level_hash, level_hash
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.data.reading import find_node, find_output, iterate_structures
from aiida_traincraft.exchange.judging import (
    DESCRIBED_AT_ONCE,
    ImportOptions,
    ImportReport,
    KnownLabels,
    judge,
    read_judged,
)
from aiida_traincraft.provenance.describe import IMPORT_PROCESS_LABEL, IMPORT_PROCESS_TYPE
from aiida_traincraft.science.datasets.near_duplicates import NearDuplicates
from aiida_traincraft.science.workspace import digest_file

SHORTEST_HASH = 8

Progress = Callable[[str, int, int], None]
"""Told the stage ("validating": bytes, "storing": nodes), how much was done since, and how much there is in all."""


@dataclass(frozen=True)
class Imported:
    """What an import did."""

    report: ImportReport
    process: orm.CalculationNode | None
    """None if nothing was to be stored: a dry run, or a refusal."""
    finished_before: bool = False
    """Whether the same files had been imported already, by ``process``."""


def import_frames(
    paths: Sequence[Path],
    level: dict[str, Any],
    options: ImportOptions,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Imported:
    """Import labelled frames.

    All frames are judged before the first is stored. Storing may be cut off at any moment: every chunk is stored whole
    or not at all, and the same call again goes on where it stopped, under the same process node.

    Parameters
    ----------
    paths
        Extended XYZ files.
    level
        Content of the labels' level of theory.
    options
        What the user chose.
    dry_run
        Judge only.
    progress
        Told of both stages.

    Returns
    -------
    Imported
        Its process has the outputs ``structures__000000``, ``labels__000000``, ... (the number of the frame through all
        files), ``manifest`` of all labels, those that were there already included, and ``report``.

    Raises
    ------
    ValueError
        If another import at the same level of theory is under way.
    OSError
        If a file cannot be read.
    """
    tell = progress or (lambda _stage, _done, _total: None)
    files = [{'name': path.name, 'sha256': digest_file(path), 'bytes': path.stat().st_size} for path in paths]
    total = sum(path.stat().st_size for path in paths)
    source = {'files': files, 'options': options.content()}
    digest = level_hash(level)
    with nullcontext() if dry_run else _only_one(digest), tempfile.TemporaryFile() as spool:
        before = _find(source, digest)
        if before is not None and before.is_sealed:
            return Imported(_stored_report(before), before, finished_before=True)
        near = None if options.near_dedup is None else NearDuplicates(options.near_dedup)
        known = _known_labels(digest, before)
        if near is not None:
            _add_known(near, known)
        report = judge(paths, digest, options, known, spool, near, lambda size: tell('validating', size, total))
        bad = bool(report.problems) or (bool(report.refusals) and not options.skip_refused)
        if dry_run or bad or not report.accepted + report.known:
            return Imported(report, None)
        spool.seek(0)
        process = before or _new_process(source, level)
        _store(process, spool, report, lambda size: tell('storing', size, 2 * report.accepted))
    return Imported(report, process)


def parse_level(text: str) -> dict[str, Any]:
    """Level of theory that a user names.

    Parameters
    ----------
    text
        Hash (from 8 digits on) or UUID of a stored level; or a ``.json`` or ``.toml`` file with its content; or words,
        which then are its ``name``.

    Raises
    ------
    ValueError
        If the text is empty, a hash or UUID belongs to no stored level or to several, or the file holds no table.
    OSError
        If the file cannot be read.
    """
    name = text.strip()
    if not name:
        raise ValueError('the level of theory is empty: say what made the labels, such as "PBE, 60 Ry, VASP 6.4"')
    plain = name.lower().replace('-', '')
    if len(plain) >= SHORTEST_HASH and not set(plain) - set(string.hexdigits):
        node = find_node(name) if '-' in name else _level_of(full_level_hash(plain))
        if not isinstance(node, LevelOfTheoryData):
            raise ValueError(f'there is no level of theory with the UUID {name!r} in this profile')
        return node.content
    path = Path(name)
    if path.suffix in ('.json', '.toml'):
        import tomllib

        content = (
            json.loads(path.read_text(encoding='utf-8'))
            if path.suffix == '.json'
            else tomllib.loads(path.read_text(encoding='utf-8'))
        )
        if not isinstance(content, dict) or not content:
            raise ValueError(f'{path}: a level of theory is a table with at least one key')
        return content
    return {'name': name}


def _level_of(digest: str) -> LevelOfTheoryData:
    node: LevelOfTheoryData = orm.QueryBuilder().append(LevelOfTheoryData, filters={'label': digest}).first(flat=True)
    return node


def _find(source: dict[str, Any], level: str) -> orm.CalculationNode | None:
    """Import of the same files with the same options at the same level, if there is one."""
    query = orm.QueryBuilder()
    query.append(LevelOfTheoryData, filters={'label': level}, tag='level', project=[])
    query.append(
        orm.CalculationNode,
        with_incoming='level',
        filters={'process_type': IMPORT_PROCESS_TYPE},
        tag='process',
        project='*',
    )
    query.append(orm.Dict, with_outgoing='process', edge_filters={'label': 'source'}, project='attributes')
    for process, content in query.all():
        if all(content[key] == source[key] for key in source):
            found: orm.CalculationNode = process
            return found
    return None


def _known_labels(level: str, process: orm.CalculationNode | None) -> KnownLabels:
    """Labels of a level, those left out that an unfinished import made itself."""
    if not orm.QueryBuilder().append(LevelOfTheoryData, filters={'label': level}).count():
        return {}
    query = orm.QueryBuilder()
    query.append(
        orm.CalculationNode, filters={'id': {'!==': process.pk}} if process is not None else {}, tag='p', project=[]
    )
    query.append(
        LabelData,
        with_incoming='p',
        filters={'attributes.level_of_theory': level},
        project=['attributes.structure', 'uuid', 'label'],
    )
    return {structure: (uuid, fingerprint) for structure, uuid, fingerprint in query.iterall()}


def _add_known(near: NearDuplicates, known: KnownLabels) -> None:
    uuids = [uuid for uuid, _ in known.values()]
    structures = iterate_structures(uuids)
    while batch := list(islice(structures, DESCRIBED_AT_ONCE)):
        near.add_many([''] * len(batch), batch)


def _new_process(source: dict[str, Any], level: dict[str, Any]) -> orm.CalculationNode:
    process = orm.CalculationNode()
    process.label = ', '.join(item['name'] for item in source['files'])[:255]
    process.set_process_label(IMPORT_PROCESS_LABEL)
    process.process_type = IMPORT_PROCESS_TYPE
    process.base.attributes.set('version', {'core': version('aiida-core'), 'plugin': version('aiida-traincraft')})
    inputs = {'level_of_theory': LevelOfTheoryData.get_or_create(level), 'source': orm.Dict(source).store()}
    for name, node in inputs.items():
        process.base.links.add_incoming(node, LinkType.INPUT_CALC, name)
    # No process state yet: AiiDA would take an import in a state of its own for one that a daemon lost.
    process.store()
    return process


def _store(
    process: orm.CalculationNode, spool: IO[bytes], report: ImportReport, progress: Callable[[int], None]
) -> None:
    known: dict[int, tuple[str, str]] = {}
    count = 0

    def frames() -> Iterator[ReadyFrame]:
        nonlocal count
        for item in read_judged(spool):
            if isinstance(item, tuple):
                known[count] = item
            else:
                yield from item
            count += 1

    stored = create_frames(process, frames(), progress)
    made = iter((label.uuid, label.fingerprint) for label in stored[1::2])
    members = [known[index] if index in known else next(made) for index in range(count)]
    link_inputs(process, [uuid for uuid, _ in known.values()], 'known')
    outputs = {
        'manifest': ManifestData([uuid for uuid, _ in members], [fingerprint for _, fingerprint in members]),
        'report': orm.Dict(report.content()),
    }
    for name, node in outputs.items():
        if find_output(process, name) is None:
            node.base.links.add_incoming(process, LinkType.CREATE, name)
            node.store()
    process.set_process_state(ProcessState.FINISHED)
    process.set_exit_status(0)
    process.seal()


def _stored_report(process: orm.CalculationNode) -> ImportReport:
    report = find_output(process, 'report')
    assert isinstance(report, orm.Dict)
    return ImportReport.from_content(report.get_dict())


@contextmanager
def _only_one(level: str) -> Iterator[None]:
    """Refuse a second import at the same level beside the first: both would store what the other cannot see yet."""
    config, profile = get_config(), get_manager().get_profile()
    with (Path(config.dirpath) / f'traincraft-import-{profile.uuid}-{level}.lock').open(
        'w', encoding='utf-8'
    ) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f'another import at the level of theory {level} is under way: wait for its end') from None
        yield
