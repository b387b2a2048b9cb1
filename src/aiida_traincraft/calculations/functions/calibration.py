"""Calibration of a potential's uncertainty on the sealed test set."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_traincraft.data.calibration import CalibrationData
from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.frames.pool import FramesData
from aiida_traincraft.data.potentials.base import PotentialData
from aiida_traincraft.science.config.kinds import ForceErrorLimit
from aiida_traincraft.science.scoring.calibration import shifted_parts


@calcfunction
def calibrate_uncertainty(predictions: FramesData, test_set: DatasetData, parameters: orm.Dict) -> CalibrationData:
    """Hold the uncertainties of a potential against its force errors.

    Parameters
    ----------
    predictions
        What the potential gives for the test set, with uncertainties.
    test_set
        The labels (split "test").
    parameters
        ``measure``, ``alpha``, ``max_force_error`` (eV/Å, or null).
    """
    labels = {frame.content_hash(): frame for frame in test_set.iterate('test')}
    errors, uncertainties, groups, systems, temperatures = [], [], [], [], []
    for index, frame in enumerate(predictions.get_frames()):
        label = labels[frame.content_hash()]
        systems.append(str(label.provenance.get('system', '')))
        temperatures.append(label.provenance.get('temperature'))
        difference = frame.properties['forces'] - label.properties['forces']
        errors.append(np.linalg.norm(difference, axis=1))
        uncertainties.append(frame.properties['uncertainty'])
        groups.append(np.full(len(frame), index))
    joined = [np.concatenate(parts) if parts else np.empty(0) for parts in (uncertainties, errors, groups)]
    parts = shifted_parts(systems, temperatures)
    return CalibrationData(joined[0], joined[1], joined[2].astype(int), **parameters.get_dict(), parts=parts)


def calibration_parameters(potential: PotentialData, accepted: ForceErrorLimit) -> dict[str, Any] | None:
    """Parameters of :func:`calibrate_uncertainty`; None for a potential whose uncertainty says nothing."""
    if potential.measure is None or potential.is_degenerate:
        return None
    return {
        'measure': potential.measure,
        'alpha': 1 - accepted.confidence,
        'max_force_error': accepted.force_error,
    }
