"""Task ``validate``: what validators say of a potential."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from aiida_traincraft.science import registry
from aiida_traincraft.science.calculators.potential import load_potential
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.structure import Structure, read_frames, write_frames
from aiida_traincraft.science.validation import Findings, Subject, explore

STARTS_FILE = 'starts.frames'
LABELLED_FILE = 'labelled.frames'
PLANNED_FILE = 'planned.frames'
DIELECTRIC_FOLDER = 'dielectric'
TIME_FRACTION = 0.95


def run(parameters: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Run validators; planned structures go to ``planned.frames`` with what the potential says of them.

    Parameters
    ----------
    parameters
        ``validators`` (a list of ``config``: its table, ``start``: index of its structure in ``starts.frames`` or null,
        ``seed``), ``potential`` and ``dielectric`` (tables of
        :func:`~aiida_traincraft.science.calculators.potential.load_potential`; the second, of a model of dipoles, may
        be null, its files lie in ``dielectric/``), ``device``, ``max_seconds`` (or null), ``plugins`` (names of plugin
        files in the folder). ``labelled.frames`` holds the test set, if there is one.
    folder
        The job's folder; the potential's files lie there.

    Returns
    -------
    dict
        ``findings``: one row per validator: ``validator`` (its label), ``type``, ``seconds``, and the fields of
        :class:`~aiida_traincraft.science.validation.Findings`, None in the place of numbers that are not finite.
    """
    began = time.monotonic()
    registry.load_plugins([folder / name for name in parameters.get('plugins', [])])
    device, limit = parameters.get('device', 'cpu'), parameters.get('max_seconds')
    starts = _frames(folder / STARTS_FILE)
    labelled = _frames(folder / LABELLED_FILE)
    calculator = load_potential(parameters['potential'], folder, device)
    dielectric = None
    if parameters.get('dielectric') is not None:
        dielectric = load_potential(parameters['dielectric'], folder / DIELECTRIC_FOLDER, device)
    rows: list[dict[str, Any]] = []
    planned: list[Structure] = []
    for job in parameters['validators']:
        config = parse_plugin('validator', job['config'])
        clock = time.monotonic()
        print(f'{config.label} begins', flush=True)
        if limit is not None and clock - began > TIME_FRACTION * limit:
            findings = Findings(broken="not run: the job's time limit (max_wallclock_seconds) came first")
        else:
            start = None if job['start'] is None else starts[job['start']]
            subject = Subject(
                calculator,
                start,
                labelled,
                dielectric,
                np.random.default_rng(job['seed']),
                lambda line: print(line, flush=True),
            )
            findings, frames = explore(config, subject)
            for frame in frames:
                frame.provenance['validator'] = config.label
            planned += frames
        seconds = round(time.monotonic() - clock, 3)
        rows.append({'validator': config.label, 'type': config.type, 'seconds': seconds} | _plain(asdict(findings)))
        print(f'{config.label} took {seconds:.1f} s{f": {findings.broken}" if findings.broken else ""}', flush=True)
    write_frames(folder / PLANNED_FILE, planned)
    return {'findings': rows, 'planned': len(planned)}


def _frames(path: Path) -> list[Structure]:
    return read_frames(path) if path.is_file() else []


def _plain(value: Any) -> Any:
    """Copy that JSON can hold."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
