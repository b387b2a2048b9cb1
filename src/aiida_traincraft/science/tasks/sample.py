"""Task ``sample``: runs of samplers, driven by a calculator or by a potential that watches its own uncertainty."""

from __future__ import annotations

import dataclasses
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from aiida_traincraft.science import registry
from aiida_traincraft.science.calculators import make_calculator
from aiida_traincraft.science.config.base import parse_plugin
from aiida_traincraft.science.sampling import SamplingRun, Watch, sample
from aiida_traincraft.science.structure import Structure, read_frames, write_frames
from aiida_traincraft.science.worker import TaskError
from aiida_traincraft.science.workspace import Workspace

STRUCTURES_FILE = 'structures.frames'
FRAMES_FILE = 'frames.frames'
TIME_FRACTION = 0.95


def run(parameters: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Run samplers from the structures of ``structures.frames``; the frames go to ``frames.frames``, run after run.

    Parameters
    ----------
    parameters
        ``runs`` (a list of ``start``: index of the structure, ``sampler``: its table, ``seed``), ``calculator`` (a
        table, or null), ``watch`` (``lo``, ``hi``, ``check_interval``, ``record_interval``, or null), ``potential``
        (``e0`` in eV by element and ``active_set``: whether there is one, or null), ``max_seconds`` (or null),
        ``plugins`` (names of plugin files in the folder).
    folder
        The job's folder; a potential lies there as ``potential.yaml`` with ``potential.asi`` and ``potential.yace``.

    Returns
    -------
    dict
        ``runs``: for each its ``end``, ``steps``, ``frames`` (their number), ``max_uncertainty`` and ``seconds``.

    Raises
    ------
    TaskError
        If the parameters make no sense.
    """
    began = time.monotonic()
    registry.load_plugins([folder / name for name in parameters.get('plugins', [])])
    structures = read_frames(folder / STRUCTURES_FILE)
    limit = parameters.get('max_seconds')
    deadline = None if limit is None else began + TIME_FRACTION * limit
    potential = parameters.get('potential')
    settings = parameters.get('watch')
    watch = dataclasses.replace(Watch(**settings) if settings else Watch(), deadline=deadline)
    if watch.uncertainty and potential is not None and not potential['active_set']:
        raise TaskError('bad_input', 'a potential without active set has no uncertainty to watch')
    jobs = [
        (_start(structures, job), parse_plugin('sampler', job['sampler']), job['seed']) for job in parameters['runs']
    ]
    calculator = _calculator(parameters.get('calculator'), potential, folder)
    frames: list[Structure] = []
    rows: list[dict[str, Any]] = []
    for number, (start, config, seed) in enumerate(jobs):
        clock = time.monotonic()
        if deadline is not None and clock > deadline:
            result = SamplingRun(end='walltime')
        else:
            try:
                result = sample(start, calculator, Workspace(folder / f'run_{number}'), config, seed, watch)
            except (ImportError, TaskError):
                raise
            except Exception as error:
                traceback.print_exc()
                result = SamplingRun(end=f'broken: {error}')
        for frame in result.frames:
            frame.provenance['run'] = number
            if potential is not None:
                describe(frame, calculator, potential['active_set'])
        frames += result.frames
        rows.append(
            {
                'end': result.end,
                'steps': result.steps,
                'frames': len(result.frames),
                'max_uncertainty': _finite(result.max_uncertainty),
                'seconds': round(time.monotonic() - clock, 3),
            }
        )
        print(f'run {number + 1}/{len(jobs)}: {rows[-1]}', flush=True)
    write_frames(folder / FRAMES_FILE, frames)
    return {'runs': rows}


def describe(frame: Structure, calculator: Any, active_set: bool) -> None:
    """Add what the selection needs to a frame.

    Parameters
    ----------
    frame
        Gets ``descriptor`` (d,) and, if its largest uncertainty is above 1, ``active.<element>``: the rows (k, n_func)
        of its atoms in coordinates of the active set that reach beyond it, that is, hold a value above 1.
    calculator
        Offers ``descriptor(atoms)`` and ``active_coordinates(atoms)``.
    active_set
        Whether there is one.
    """
    frame.properties['descriptor'] = np.asarray(calculator.descriptor(frame.atoms))
    uncertainty = frame.properties.get('uncertainty')
    if not active_set or uncertainty is None or uncertainty.max() <= 1.0:
        return
    for element, rows in calculator.active_coordinates(frame.atoms).items():
        beyond = rows[np.abs(rows).max(axis=1) > 1.0] if len(rows) else rows
        if len(beyond):
            frame.properties[f'active.{element}'] = beyond


def _start(structures: list[Structure], job: dict[str, Any]) -> Structure:
    if not 0 <= job['start'] < len(structures):
        raise TaskError('bad_input', f'a run starts from structure {job["start"]}, but there are {len(structures)}')
    start: Structure = structures[job['start']]
    return start


def _calculator(table: dict[str, Any] | None, potential: dict[str, Any] | None, folder: Path) -> Any:
    if potential is None:
        return None if table is None else make_calculator(parse_plugin('calculator', table))
    if table is not None:
        raise TaskError('bad_input', 'give a calculator or a potential, not both')
    # The potential's own package is on the compute nodes that need it, and only there.
    from aiida_traincraft.science.calculators.pace import PaceCalculator

    fast = folder / 'potential.yace'
    return PaceCalculator(
        potential=folder / 'potential.yaml',
        e0=potential['e0'],
        active_set=folder / 'potential.asi' if potential['active_set'] else None,
        fast=fast if fast.is_file() else None,
    )


def _finite(value: float | None) -> float | None:
    """JSON has no infinity: the largest float stands for the uncertainty of an atom that the model knows nothing of."""
    return None if value is None else min(value, sys.float_info.max)
