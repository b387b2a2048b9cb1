"""Errors of a potential on a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine.processes.calcjobs.calcjob import validate_calc_job

from aiida_traincraft.calculations.base import WorkerCalculation
from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.frames.pool import FramesData
from aiida_traincraft.data.potentials.base import PotentialData
from aiida_traincraft.science.structure import write_frames
from aiida_traincraft.science.worker.tasks.evaluate import DATASET_FILE, PREDICTIONS_FILE


class EvaluateCalculation(WorkerCalculation):
    """RMSE, MAE and largest error of all that labels and potential have; per system and per element too.

    Energy in eV/atom, forces in eV/Å, stress in eV/Å³, dipole in e·Å, polarizability in Å³. A multi-head model answers
    with the head of the dataset's level of theory, or with the one that the parameter ``head`` names.
    """

    TASK = 'evaluate'
    RETRIEVE_TEMPORARY = (PREDICTIONS_FILE,)

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input('potential', valid_type=PotentialData, help='The potential to score.')
        spec.input('dataset', valid_type=DatasetData, help='The reference.')
        spec.input('split', valid_type=orm.Str, default=lambda: orm.Str('test'), help='Split of the dataset.')
        spec.inputs.validator = _check_inputs
        spec.output('errors', valid_type=orm.Dict, help='Errors in all, per system and per element.')
        spec.output('predictions', valid_type=FramesData, help='What the potential gives for every structure.')
        spec.output('per_structure', valid_type=orm.SinglefileData, help='Errors of every structure (JSON).')

    def write_inputs(self, folder: Path) -> dict[str, Any]:
        """Write dataset and potential."""
        write_frames(folder / DATASET_FILE, self.inputs.dataset.iterate(self.inputs.split.value))
        potential = self.inputs.potential
        potential.write_files(folder)
        return {'potential': potential.job_table(_head(self.inputs))}


def _head(inputs: Mapping[str, Any]) -> str | None:
    chosen: str | None = inputs['parameters'].get_dict().get('head')
    return chosen or inputs['potential'].head_for(inputs['dataset'].levels_of_theory)


def _check_inputs(inputs: Mapping[str, Any], port: Any) -> str | None:
    if (message := validate_calc_job(inputs, port)) is not None:
        return str(message)
    try:
        inputs['potential'].job_table(_head(inputs))
    except ValueError as error:
        return str(error)
    return None
