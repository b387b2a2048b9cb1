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
from aiida_traincraft.science.calculators.potential import load_potential
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.errors import TaskError
from aiida_traincraft.science.sampling import SamplingRun, Watch, sample
from aiida_traincraft.science.structure import Structure, read_frames, write_frames
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
        (table of :func:`~aiida_traincraft.science.calculators.potential.load_potential`, or null), ``device``,
        ``max_seconds`` (or null), ``plugins`` (names of plugin files in the folder).
    folder
        The job's folder; a potential's files lie there.

    Returns
    -------
    dict
        ``runs``: for each its ``end``, ``steps``, ``frames`` (their number), ``max_uncertainty`` and ``seconds``,
        and the ``acceptance`` of Monte Carlo's moves.

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
    jobs = [
        (_start(structures, job), parse_plugin('sampler', job['sampler']), job['seed']) for job in parameters['runs']
    ]
    calculator = _calculator(parameters, folder)
    if watch.uncertainty and potential is not None and calculator.uncertainty is None:
        raise TaskError(
            'bad_input',
            'the potential has no uncertainty to watch: ACE needs an active set, MACE a committee of several models',
        )
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
                describe(frame, calculator)
        frames += result.frames
        rows.append(
            {
                'end': result.end,
                'steps': result.steps,
                'frames': len(result.frames),
                'max_uncertainty': _finite(result.max_uncertainty),
                'seconds': round(time.monotonic() - clock, 3),
                **({'acceptance': result.acceptance} if result.acceptance else {}),
            }
        )
        print(f'run {number + 1}/{len(jobs)}: {rows[-1]}', flush=True)
    write_frames(folder / FRAMES_FILE, frames)
    return {'runs': rows}


def describe(frame: Structure, calculator: Any) -> None:
    """Add what the selection needs to a frame.

    Parameters
    ----------
    frame
        Gets ``descriptor`` (d,), if the calculator has one, and, if its largest γ is above 1, ``active.<element>``: the
        rows (k, n_func) of its atoms in coordinates of the active set that reach beyond it, that is, hold a value above
        1.
    calculator
        Offers ``uncertainty``, perhaps ``descriptor(atoms)`` and, if the uncertainty is ``gamma``,
        ``active_coordinates(atoms)``.
    """
    if hasattr(calculator, 'descriptor'):
        frame.properties['descriptor'] = np.asarray(calculator.descriptor(frame.atoms))
    uncertainty = frame.properties.get('uncertainty')
    if calculator.uncertainty != 'gamma' or uncertainty is None or uncertainty.max() <= 1.0:
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


def _calculator(parameters: dict[str, Any], folder: Path) -> Any:
    table, potential = parameters.get('calculator'), parameters.get('potential')
    if potential is None:
        return None if table is None else make_calculator(parse_plugin('calculator', table))
    if table is not None:
        raise TaskError('bad_input', 'give a calculator or a potential, not both')
    # A committee's first member drives: the others cost something only where their spread is asked for.
    return load_potential(potential, folder, parameters.get('device', 'cpu'), driver='first')


def _finite(value: float | None) -> float | None:
    """JSON has no infinity: the largest float stands for the uncertainty of an atom that the model knows nothing of."""
    return None if value is None else min(value, sys.float_info.max)
