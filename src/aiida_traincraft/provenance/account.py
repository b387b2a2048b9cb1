"""What a campaign cost, ran with and rests on: the figures of its report beside the summary."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from aiida import orm

from aiida_traincraft.calculations.cores import job_cores
from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.frames import FramesData
from aiida_traincraft.provenance.campaign import STAGES, children, jobs

HOUR = 3600.0


@dataclass(frozen=True)
class Cost:
    """Jobs of one stage by one code."""

    stage: str
    code: str
    jobs: int
    core_hours: float


def costs(campaign: orm.WorkChainNode) -> list[Cost]:
    """Core-hours of each stage and code: the wall time that the code itself reports, times the cores of the job."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for key, child in children(campaign).items():
        stage = STAGES.get(key.partition('_')[0], key)
        for job in jobs(child):
            found[stage, job.inputs.code.label].append(_wall_seconds(job) * job_cores(job) / HOUR)
    order = list(dict.fromkeys(STAGES.values()))
    rows = [Cost(stage, code, len(hours), sum(hours)) for (stage, code), hours in found.items()]
    return sorted(rows, key=lambda row: (order.index(row.stage) if row.stage in order else len(order), row.code))


def _wall_seconds(job: orm.CalcJobNode) -> float:
    outputs = job.outputs
    if 'summary' in outputs:
        return float(outputs.summary.get('seconds', 0.0))
    if 'output_parameters' in outputs:
        return float(outputs.output_parameters.get('wall_time_seconds', 0.0))
    return 0.0


def versions(campaign: orm.WorkChainNode) -> dict[str, list[str]]:
    """Versions of Python and packages that the jobs of a campaign report; several where jobs differed."""
    found: dict[str, set[str]] = defaultdict(set)
    for job in jobs(campaign):
        told = job.outputs.summary.get('versions', {}) if 'summary' in job.outputs else {}
        for name, version in told.items():
            found[name].add(str(version))
        if 'output_parameters' in job.outputs and (code := job.outputs.output_parameters.get('creator_version')):
            found[str(job.outputs.output_parameters.get('creator_name', 'code'))].add(str(code))
    return {name: sorted(values) for name, values in sorted(found.items())}


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
