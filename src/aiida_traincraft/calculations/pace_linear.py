"""Linear ACE fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiida import orm

from aiida_traincraft.calculations.base import WORSE_THAN_CONSTANT, WorkerCalculation
from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.potentials.pace import POSTERIOR, YAML, PacePotentialData
from aiida_traincraft.science.structure import write_frames


class PaceLinearCalculation(WorkerCalculation):
    """Fit a linear ACE by least squares on pyace's own design matrix."""

    TASK = 'pace_linear'
    RETRIEVE_TEMPORARY = (YAML, POSTERIOR)

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input('dataset', valid_type=DatasetData, help='Labels to train on (split "train").')
        spec.output('potential', valid_type=PacePotentialData, help='The fitted potential, without active set.')
        spec.output(
            'posterior',
            valid_type=orm.ArrayData,
            required=False,
            help='Posterior of the coefficients, for error bars: "factor" and the noises.',
        )
        spec.exit_code(
            WORSE_THAN_CONSTANT,
            'ERROR_WORSE_THAN_CONSTANT',
            message='A constant is better on the hold-out set, the potential is kept: {reason}',
        )

    def write_inputs(self, folder: Path) -> dict[str, Any]:
        """Write the training set."""
        write_frames(folder / 'dataset.frames', self.inputs.dataset.iterate('train'))
        return {'e0': self.inputs.dataset.e0}
