"""Errors of a fitted ACE potential on a labelled dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiida_traincraft.science.calculators.pace import PaceCalculator
from aiida_traincraft.science.evaluation import evaluate
from aiida_traincraft.science.structure import read_frames


def run(parameters: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Evaluate ``potential.yaml`` on ``dataset.frames``.

    Parameters
    ----------
    parameters
        ``potential``: ``{"e0": eV of each isolated atom, "active_set": whether potential.asi is in the folder}``.
    folder
        Job folder.

    Returns
    -------
    dict
        See :func:`aiida_traincraft.science.evaluation.evaluate`.

    Raises
    ------
    ValueError
        If the potential or its active set cannot be used.
    """
    potential = parameters['potential']
    graded = bool(potential['active_set'])
    calculator = PaceCalculator(
        folder / 'potential.yaml', potential['e0'], active_set=folder / 'potential.asi' if graded else None
    )
    structures = read_frames(folder / 'dataset.frames')
    return evaluate(structures, calculator, graded, report=lambda line: print(line, flush=True))
