"""Task ``label``: energies, forces and stresses of many structures by one ASE calculator or a stored potential."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from aiida_traincraft.science import registry
from aiida_traincraft.science.calculators import make_calculator
from aiida_traincraft.science.calculators.potential import load_potential
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.errors import shortened
from aiida_traincraft.science.labelling.label import LabelError, label
from aiida_traincraft.science.structure import append_frame, read_frames

STRUCTURES_FILE = 'structures.frames'
LABELS_FILE = 'labels.frames'
ROWS_FILE = 'rows.jsonl'


def run(parameters: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Label the structures of ``structures.frames``; the good ones go to ``labels.frames`` in the same order.

    After each structure its row is a line of ``rows.jsonl``.

    Parameters
    ----------
    parameters
        ``calculator`` (a registered calculator's table) or, in its place, ``potential`` (table of
        :func:`~aiida_traincraft.science.calculators.potential.load_potential`) with ``device``; ``min_distance``
        (fraction of the sum of covalent radii), ``plugins`` (names of plugin files in the folder).
    folder
        The job's folder; a potential's files lie there.

    Returns
    -------
    dict
        ``rows``: for each structure its ``index``, ``status`` (``ok`` or ``failed``), ``reason`` and ``seconds`` (wall
        time).

    Notes
    -----
    An isolated atom that a potential labels gets the potential's E0 and no forces: what a model makes of a lone atom is
    not what it was trained against.
    """
    registry.load_plugins([folder / name for name in parameters.get('plugins', [])])
    potential = parameters.get('potential')
    structures = read_frames(folder / STRUCTURES_FILE)
    if potential is None:
        config, e0 = parse_plugin('calculator', parameters['calculator']), None
        calculator = make_calculator(config)
    else:
        config, e0 = None, potential['e0']
        calculator = load_potential(potential, folder, parameters.get('device', 'cpu'))
    rows: list[dict[str, Any]] = []
    # Both files are written as the labels come: what a dying process has finished is not lost.
    with (folder / LABELS_FILE).open('wb') as labels, (folder / ROWS_FILE).open('w', encoding='utf-8') as progress:
        for index, structure in enumerate(structures):
            reason, began = None, time.perf_counter()
            try:
                append_frame(labels, label(structure, calculator, parameters['min_distance'], e0))
            except Exception as error:
                text = str(error) if isinstance(error, LabelError) else f'{type(error).__name__}: {error}'
                reason = shortened(text)
            seconds = time.perf_counter() - began
            if reason is not None:
                # What a failed calculation left behind must not reach the next structure.
                if config is None:
                    calculator.reset()
                else:
                    calculator = make_calculator(config)
            status = 'ok' if reason is None else 'failed'
            rows.append({'index': index, 'status': status, 'reason': reason, 'seconds': seconds})
            labels.flush()
            print(json.dumps(rows[-1]), file=progress, flush=True)
            told = f': {reason}' if reason else ''
            print(f'{index + 1}/{len(structures)} {structure.formula} {status}{told}', flush=True)
    return {'rows': rows}
