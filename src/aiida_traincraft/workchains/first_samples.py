"""Sampling of a campaign's first structures: what each run is to do, and which ended short of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiida import orm

from aiida_traincraft.calculations.stored_config import StoredConfig
from aiida_traincraft.data.frames.pool import FramesData
from aiida_traincraft.science.config.systems import SystemConfig
from aiida_traincraft.science.seeds import derive_seed
from aiida_traincraft.workchains.campaign_keys import Set

# The first structures pass the physical checks only: the funnel's other stages need a potential.
INITIAL_STAGES = [{'type': 'physicality'}, {'type': 'dedup'}]


@dataclass(frozen=True)
class ShortRun:
    """A run that kept nothing or ended early."""

    system: str
    frames: int
    end: str

    def __str__(self) -> str:
        if self.frames == 0:
            return f'no frame of {self.system}, {self.end}'
        return f'sampling of {self.system} ended with {self.frames} frames: {self.end}'


def sampling_parameters(starts: FramesData, systems: Sequence[SystemConfig], config: StoredConfig) -> dict[str, Any]:
    """Parameters of ``traincraft.sample``: a run for each starting geometry."""
    samplers = {system.name: system.sampling.model_dump(mode='json') for system in systems}
    runs = []
    for index, frame in enumerate(starts.get_frames()):
        name, variant = frame.provenance['system'], frame.provenance.get('variant', 0)
        parts = (name, variant) if variant else (name,)
        runs.append(
            {'start': index, 'sampler': samplers[name], 'seed': derive_seed(config.run.seed, 'sampling', *parts)}
        )
    # Samplers that need forces before there is a potential take the teacher's; without one they say so.
    teacher = config.labelling.teacher()
    calculator = None if teacher is None else teacher.model_dump(mode='json')
    return {'runs': runs, 'calculator': calculator, 'watch': None}


def short_runs(starts: str, outputs: Any) -> Iterator[ShortRun]:
    """Runs of a sampling that kept nothing, and those that ended early.

    Parameters
    ----------
    starts
        UUID of the starting geometries.
    outputs
        Outputs of ``traincraft.sample``.
    """
    for run, frame in zip(outputs.summary['runs'], orm.load_node(starts).get_frames(), strict=True):
        if run['frames'] == 0 or run['end'] != 'finished':
            yield ShortRun(frame.provenance['system'], run['frames'], run['end'])


def selection_parameters(which: Set, seed: int, elements: Sequence[str]) -> dict[str, Any]:
    """Parameters of ``select_structures``; to train on, the isolated atom of every element comes along."""
    return {
        'seed': derive_seed(seed, 'select', which),
        'stages': INITIAL_STAGES,
        'budget': sys.maxsize,
        'isolated_atoms': list(elements) if which == 'train' else [],
    }


def describe_empty(which: Set, report: Mapping[str, Any]) -> dict[str, str]:
    """What the message on a selection without any structure tells."""
    last = report['stages'][-1]
    more = ' and is unlike the test set' if last['stage'] == 'sealed' and last['dropped'] else ''
    return {'which': 'test' if which == 'test' else 'starting', 'more': more}
