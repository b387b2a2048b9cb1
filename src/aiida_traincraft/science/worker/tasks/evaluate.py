"""Errors of a potential on a labelled dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiida_traincraft.science import registry
from aiida_traincraft.science.calculators.potential import load_potential
from aiida_traincraft.science.scoring.evaluation import evaluate
from aiida_traincraft.science.structure import read_frames, write_frames
from aiida_traincraft.science.validation.compression import find_holes

DATASET_FILE = 'dataset.frames'
PREDICTIONS_FILE = 'predictions.frames'


def run(parameters: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Evaluate a potential on ``dataset.frames``; what it predicts goes to ``predictions.frames``.

    Parameters
    ----------
    parameters
        ``potential`` (table of :func:`~aiida_traincraft.science.calculators.potential.load_potential`), ``device``,
        ``plugins`` (names of plugin files in the folder).
    folder
        The job's folder; the potential's files lie there.

    Returns
    -------
    dict
        See :func:`aiida_traincraft.science.scoring.evaluation.evaluate`; uncertainties wherever the potential has them.
        ``holes``: where atoms that come closer and closer do not repel, in words, see
        :func:`~aiida_traincraft.science.validation.compression.find_holes`.

    Raises
    ------
    ValueError
        If the potential cannot be used.
    """
    registry.load_plugins([folder / name for name in parameters.get('plugins', [])])
    calculator = load_potential(parameters['potential'], folder, parameters.get('device', 'cpu'))
    structures = read_frames(folder / DATASET_FILE)
    result, predictions = evaluate(
        structures, calculator, calculator.uncertainty is not None, report=lambda line: print(line, flush=True)
    )
    write_frames(folder / PREDICTIONS_FILE, predictions)
    calculator.with_uncertainty = False
    result['holes'] = find_holes(predictions, calculator) if result['overall']['energy']['n'] else []
    return result
