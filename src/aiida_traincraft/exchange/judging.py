"""Judge labelled frames before anything is stored; what is accepted waits, serialised, in a temporary file."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

from aiida.common.exceptions import ValidationError

from aiida_traincraft.data.bulk import NewFrame, ReadyFrame, prepare_frames
from aiida_traincraft.data.frames.base import check_geometry
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.science.datasets.label_keys import PROPERTIES
from aiida_traincraft.science.datasets.near_duplicates import NearDuplicates
from aiida_traincraft.science.datasets.plausibility import RULES, Judged, read_plausible
from aiida_traincraft.science.datasets.read_ahead import read_ahead
from aiida_traincraft.science.datasets.refusals import RefusedFrame
from aiida_traincraft.science.structure import Structure

DESCRIBED_AT_ONCE = 200
SPOOLED_AT_ONCE = 100
LARGE = 5_000_000
"""Bytes from which files are read by a process of their own: it takes a second to start."""
REPORTED_REFUSALS = 1000

KnownLabels = Mapping[str, tuple[str, str]]
"""UUID and fingerprint of the stored label of a structure, by the structure's fingerprint."""

Judgement = list[ReadyFrame] | tuple[str, str]
"""A structure and its label to be stored, or UUID and fingerprint of a label that is there already."""


@dataclass(frozen=True)
class ImportOptions:
    """What the user chose about an import."""

    keys: Mapping[str, str] = field(default_factory=dict)
    """Key in the file by property (energy, forces, stress, virial, dipole, polarizability, system, group)."""
    system: str | None = None
    """System of frames that name none."""
    allow: Sequence[str] = ()
    """Rules of plausibility that are not applied."""
    skip_refused: bool = False
    """Whether the good frames are stored although others are refused."""
    group_by_file: bool = False
    """Whether the frames of a file that name no group are one group: a trajectory."""
    near_dedup: float | None = None
    """Tolerance within which a frame repeats an earlier one, if near duplicates are to be left out."""

    def __post_init__(self) -> None:
        chosen: tuple[tuple[Iterable[str], Iterable[str]], ...] = ((self.keys, PROPERTIES), (self.allow, RULES))
        for names, known in chosen:
            for name in names:
                if name not in known:
                    raise ValueError(f'{name!r} is unknown here (known: {", ".join(known)})')
        if self.near_dedup is not None and not self.near_dedup > 0:
            raise ValueError('near_dedup: the tolerance must be greater than 0')

    def content(self) -> dict[str, Any]:
        """As the database holds it."""
        return asdict(self) | {'allow': sorted(self.allow)}


@dataclass
class ImportReport:
    """What the files hold and what becomes of it."""

    frames: int = 0
    accepted: int = 0
    known: int = 0
    """Frames whose label the database has already."""
    repeated: int = 0
    """Frames that occur, equal in geometry and label, earlier in the files."""
    near: int = 0
    """Near duplicates left out."""
    keys: dict[str, int] = field(default_factory=dict)
    """Frames that held each key."""
    unused_keys: dict[str, int] = field(default_factory=dict)
    """Frames with each key that looks like a label, a lattice, a weight or a mask and is not used."""
    systems: Counter[str] = field(default_factory=Counter)
    refusals: list[RefusedFrame] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What is wrong with a file as a whole."""
    notes: list[str] = field(default_factory=list)
    """What the user should know of a file."""

    def content(self) -> dict[str, Any]:
        """As the database and ``--report`` hold it."""
        numbers = {key: getattr(self, key) for key in ('frames', 'accepted', 'known', 'repeated', 'near')}
        return numbers | {
            'keys': self.keys,
            'unused_keys': self.unused_keys,
            'systems': dict(self.systems),
            'refused': dict(Counter(refusal.rule for refusal in self.refusals)),
            'refusals': [asdict(refusal) for refusal in self.refusals[:REPORTED_REFUSALS]],
            'problems': self.problems,
            'notes': self.notes,
        }

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> ImportReport:
        """Inverse of :meth:`content`; of very many refusals, those that were stored."""
        facts = {key: value for key, value in content.items() if key != 'refused'}
        refusals = [RefusedFrame(**row) for row in content['refusals']]
        return cls(**facts | {'systems': Counter(content['systems']), 'refusals': refusals})


def judge(
    paths: Sequence[Path],
    level: str,
    options: ImportOptions,
    known: KnownLabels,
    spool: IO[bytes],
    near: NearDuplicates | None = None,
    progress: Callable[[int], None] | None = None,
) -> ImportReport:
    """Read and judge all frames; write those to be stored to a file.

    Parameters
    ----------
    paths
        Extended XYZ files; frames are numbered through all of them in this order.
    level
        Hash of the level of theory of the labels.
    options
        See :class:`ImportOptions`.
    known
        Labels of that level that are stored already.
    spool
        Gets what :func:`staged` reads.
    near
        Index in which near duplicates are looked up, with what shall count as known in it.
    progress
        Told how many bytes were read.
    """
    report = ImportReport()
    frames = _judged(paths, level, options, report, progress)
    if near is not None:
        frames = _without_near(frames, near, known, report)
    items = _accepted(frames, known, report)
    while batch := list(islice(items, SPOOLED_AT_ONCE)):
        pickle.dump(batch, spool)
    return report


def read_judged(spool: IO[bytes]) -> Iterator[Judgement]:
    """What :func:`stage` wrote."""
    while True:
        try:
            yield from pickle.load(spool)  # noqa: S301 (this process wrote it)
        except EOFError:
            return


def _accepted(
    frames: Iterator[tuple[int, tuple[str, int], Structure]], known: KnownLabels, report: ImportReport
) -> Iterator[Judgement]:
    """What is to be stored or linked; the report is told of the rest."""
    seen: dict[str, tuple[str, str]] = {}
    for number, place, structure in frames:
        try:
            pair = list(prepare_frames(_pair(structure, number)))
        except (ValueError, ValidationError) as error:
            report.refusals.append(RefusedFrame(*place, 'format', str(error)))
            continue
        geometry, label = pair[0].attributes['fingerprint'], pair[1].attributes['fingerprint']
        uuid, twin = known.get(geometry, ('', ''))
        before, where = seen.get(geometry, ('', ''))
        if (twin and twin != label) or (before and before != label):
            earlier = f'label {uuid} of the same level of theory' if twin else where
            reason = f'the same structure as {earlier}, but with another energy, forces or stress'
            report.refusals.append(RefusedFrame(*place, 'contradiction', reason))
        elif before:
            report.repeated += 1
        else:
            seen[geometry] = (label, f'{place[0]}, frame {place[1]}')
            report.known += bool(twin)
            report.accepted += not twin
            report.systems[structure.provenance.get('system') or ''] += 1
            yield (uuid, twin) if twin else pair


def _judged(
    paths: Sequence[Path],
    level: str,
    options: ImportOptions,
    report: ImportReport,
    progress: Callable[[int], None] | None,
) -> Iterator[tuple[int, tuple[str, int], Structure]]:
    """Number, place and structure of each plausible frame."""
    arguments = (paths, options.keys, options.allow)
    large = sum(path.stat().st_size for path in paths) > LARGE
    for item in read_ahead(read_plausible, *arguments) if large else read_plausible(*arguments):
        if isinstance(item, Judged):
            report.problems, report.notes = item.problems, item.notes
            report.keys, report.unused_keys = dict(item.counts), dict(item.unused)
            continue
        report.frames += 1
        if progress is not None:
            progress(item.n_bytes)
        found = item.found
        if isinstance(found, RefusedFrame):
            report.refusals.append(found)
            continue
        found.provenance |= {'level_of_theory': level, 'source': f'{item.file}@{item.number}'}
        if found.provenance.get('system') is None and options.system is not None:
            found.provenance['system'] = options.system
        if found.group is None and options.group_by_file:
            found.provenance['group'] = item.file
        yield report.frames - 1, (item.file, item.number), found


def _without_near(
    frames: Iterator[tuple[int, tuple[str, int], Structure]],
    near: NearDuplicates,
    known: KnownLabels,
    report: ImportReport,
) -> Iterator[tuple[int, tuple[str, int], Structure]]:
    exact: set[str] = set(known)
    while batch := list(islice(frames, DESCRIBED_AT_ONCE)):
        described = [item for item in batch if _can_be_near(item[2], exact)]
        names = [f'{file}, frame {frame}' for _, (file, frame), _ in described]
        matches = near.add_many(names, [item[2] for item in described])
        dropped = {item[0] for item, match in zip(described, matches, strict=True) if match is not None}
        report.near += len(dropped)
        yield from (item for item in batch if item[0] not in dropped)


def _can_be_near(structure: Structure, exact: set[str]) -> bool:
    """Whether a frame is to be described: not one that is refused later on, nor an exact copy, judged there too."""
    try:
        check_geometry(structure)
    except ValueError:
        return False
    digest = structure.content_hash()
    if digest in exact:
        return False
    exact.add(digest)
    return True


def _pair(structure: Structure, number: int) -> Iterable[NewFrame]:
    yield NewFrame(TrainingStructureData, structure, f'structures__{number:06d}')
    yield NewFrame(LabelData, structure, f'labels__{number:06d}')


def write_report(path: Path, report: ImportReport) -> None:
    """Write a report as JSON, with every refusal."""
    content = report.content() | {'refusals': [asdict(refusal) for refusal in report.refusals]}
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + '\n', encoding='utf-8')
