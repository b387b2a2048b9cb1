"""What a campaign cost, ran with and rests on: the figures of its report beside the summary."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from aiida import orm

from aiida_traincraft.calculations.cores import job_cores
from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.frames.pool import FramesData
from aiida_traincraft.data.reading import QUERY_CHUNK, find_output
from aiida_traincraft.provenance.campaign import called_jobs, children
from aiida_traincraft.provenance.verdict import MEV
from aiida_traincraft.workchains import campaign_keys as keys

HOUR = 3600.0


@dataclass(frozen=True)
class Cost:
    """Jobs of one stage by one code."""

    stage: str
    code: str
    jobs: int
    core_hours: float


@dataclass(frozen=True)
class Job:
    """A job of a campaign, and what its code reported."""

    stage: str
    code: str
    cores: int
    summary: dict[str, Any]
    """Output ``summary`` of this project's workers; empty for other codes."""
    parameters: dict[str, Any]
    """Output ``output_parameters`` of other codes; empty without it."""

    @property
    def core_hours(self) -> float:
        """The wall time that the code itself reports, times the cores of the job."""
        seconds = self.summary.get('seconds') or self.parameters.get('wall_time_seconds') or 0.0
        return float(seconds) * self.cores / HOUR


def find_jobs(campaign: orm.WorkChainNode) -> list[Job]:
    """All jobs of a campaign."""
    stages = {pk: keys.stage_of(job.step) for pk, job in called_jobs(campaign).items()}
    found, pks = [], sorted(stages)
    for start in range(0, len(pks), QUERY_CHUNK):
        chunk = {'id': {'in': pks[start : start + QUERY_CHUNK]}}
        query = orm.QueryBuilder().append(orm.CalcJobNode, filters=chunk, tag='job', project='id')
        # By name: a job that labels has an output for each structure.
        names = {'label': {'in': ['summary', 'output_parameters']}}
        query.append(orm.Dict, with_incoming='job', edge_filters=names, edge_project='label', project='attributes')
        told: dict[tuple[int, str], dict[str, Any]] = {(pk, name): content for pk, content, name in query.iterall()}
        query = orm.QueryBuilder().append(orm.CalcJobNode, filters=chunk, tag='job', project='*')
        query.append(orm.AbstractCode, with_outgoing='job', edge_filters={'label': 'code'}, project='label')
        found += [
            Job(
                stages[job.pk],
                code,
                job_cores(job),
                told.get((job.pk, 'summary'), {}),
                told.get((job.pk, 'output_parameters'), {}),
            )
            for job, code in query.iterall()
        ]
    return found


def costs(jobs: Iterable[Job]) -> list[Cost]:
    """Core-hours of each stage and code."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for job in jobs:
        found[job.stage, job.code].append(job.core_hours)
    order = list(dict.fromkeys(keys.STAGES.values()))
    rows = [Cost(stage, code, len(hours), sum(hours)) for (stage, code), hours in found.items()]
    return sorted(rows, key=lambda row: (order.index(row.stage) if row.stage in order else len(order), row.code))


def versions(jobs: Iterable[Job]) -> dict[str, list[str]]:
    """Versions of Python and packages that jobs report; several where jobs differed."""
    found: dict[str, set[str]] = defaultdict(set)
    for job in jobs:
        for name, version in job.summary.get('versions', {}).items():
            found[name].add(str(version))
        if code := job.parameters.get('creator_version'):
            found[str(job.parameters.get('creator_name', 'code'))].add(str(code))
    return {name: sorted(values) for name, values in sorted(found.items())}


def reference_counts(campaign: orm.WorkChainNode) -> tuple[dict[str, int], dict[str, int]]:
    """Counts and reasons of failure of the structures that validators asked the labelling for."""
    counts, reasons = Counter[str](), Counter[str]()
    for _, step in keys.of_kind('validate', children(campaign)):
        if (ledger := find_output(step, 'ledger')) is not None:
            counts.update(ledger.counts)
            reasons.update(ledger.reasons)
    return dict(counts), dict(reasons)


def learning_columns(summary: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Table behind the learning curve: a row for each cycle with a scored potential; empty columns without one."""
    scored = [cycle for cycle in summary['cycles'] if cycle['errors']]
    return {
        'cycle': [cycle['cycle'] for cycle in scored],
        'labels': [cycle['labels']['total'] for cycle in scored],
        'forces RMSE (meV/Å)': [MEV * cycle['errors']['forces']['rmse'] for cycle in scored],
        'energy RMSE (meV/atom)': [MEV * cycle['errors']['energy']['rmse'] for cycle in scored],
        'candidates': [cycle['candidates'] for cycle in scored],
        'uncertain': [cycle['uncertain'] for cycle in scored],
        'selected': [cycle['selected'] for cycle in scored],
    }


def last_scored(campaign: orm.WorkChainNode) -> orm.ProcessNode | None:
    """The last training whose potential was scored."""
    done = [node for _, node in keys.of_kind('train', children(campaign)) if 'errors' in node.outputs]
    return done[-1] if done else None


def parity_points(
    predictions: FramesData, test_set: DatasetData, most: int = 2000
) -> dict[str, dict[str, list[float | str]]]:
    """Labels and predictions of the test set, thinned evenly to at most so many points of each property.

    Returns
    -------
    dict
        By property (``energy`` in eV/atom, ``forces`` in eV/Å): columns ``label``, ``predicted`` and ``system``.
    """
    labels = {frame.content_hash(): frame for frame in test_set.iterate('test')}
    columns: dict[str, list[list[Any]]] = {'energy': [[], [], []], 'forces': [[], [], []]}
    for frame in predictions.get_frames():
        label = labels[frame.content_hash()]
        for name, (theirs, ours, systems) in columns.items():
            if name not in frame.properties:
                continue
            scale = len(frame) if name == 'energy' else 1
            pair = [np.ravel(item.properties[name]) / scale for item in (label, frame)]
            theirs.extend(pair[0].tolist())
            ours.extend(pair[1].tolist())
            systems.extend([str(frame.provenance.get('system', ''))] * len(pair[0]))
    found = {}
    for name, parts in columns.items():
        if parts[0]:
            chosen = np.unique(np.linspace(0, len(parts[0]) - 1, min(most, len(parts[0]))).astype(int))
            found[name] = {
                key: [part[index] for index in chosen]
                for key, part in zip(('label', 'predicted', 'system'), parts, strict=True)
            }
    return found
