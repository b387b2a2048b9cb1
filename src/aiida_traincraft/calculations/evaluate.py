"""Errors of a potential on a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiida import orm

from aiida_traincraft.calculations.base import WorkerCalculation, write_potential
from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.potential import PacePotentialData
from aiida_traincraft.science.structure import write_frames


class EvaluateCalculation(WorkerCalculation):
    """RMSE, MAE and largest error of energy (eV/atom), forces (eV/Å), stress (eV/Å³); per system and element too."""

    TASK = 'evaluate'

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input('potential', valid_type=PacePotentialData, help='The potential to score.')
        spec.input('dataset', valid_type=DatasetData, help='The reference.')
        spec.input('split', valid_type=orm.Str, default=lambda: orm.Str('test'), help='Split of the dataset.')
        spec.output('errors', valid_type=orm.Dict, help='Errors in all, per system and per element.')
        spec.output('per_structure', valid_type=orm.SinglefileData, help='Errors of every structure (JSON).')

    def write_inputs(self, folder: Path) -> dict[str, Any]:
        """Write dataset and potential."""
        write_frames(folder / 'dataset.frames', self.inputs.dataset.get_structures(self.inputs.split.value))
        return {'potential': write_potential(folder, self.inputs.potential)}
