"""Training of one MACE model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine.processes.calcjobs.calcjob import validate_calc_job

from aiida_traincraft.calculations.base import WorkerCalculation
from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.potentials.mace import MacePotentialData
from aiida_traincraft.science.training.mace.input import DATA_FOLDER
from aiida_traincraft.science.training.mace.watch import RESTART, RESULTS
from aiida_traincraft.science.worker.tasks.mace_train import (
    COMPILED,
    CONFIG_FILE,
    DESCRIPTORS_FILE,
    ERROR_FILE,
    LAMMPS,
    MODEL,
    OUTPUT_FILE,
)


class MaceTrainCalculation(WorkerCalculation):
    """Run ``mace_run_train --config config.yml`` on the folder of a ``traincraft.mace_data`` job.

    Trained on the computer that holds the folder; the numbers of labels that MACE says it read must be those sent.
    """

    TASK = 'mace_train'
    SENT_AGAIN = False
    RETRIEVE = (CONFIG_FILE, OUTPUT_FILE, ERROR_FILE)
    RETRIEVE_TEMPORARY = (MODEL, COMPILED, LAMMPS, DESCRIPTORS_FILE, RESTART, RESULTS)

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input('data', valid_type=orm.RemoteData, help='Folder of the "traincraft.mace_data" job.')
        spec.input('heads', valid_type=orm.Dict, help='Output "heads" of the same job.')
        spec.input_namespace(
            'datasets', valid_type=DatasetData, dynamic=True, help='Dataset of each head, for the graph.'
        )
        spec.input('seed', valid_type=orm.Int, serializer=orm.to_aiida_type, help='Seed of weights and batches.')
        spec.input(
            'foundation',
            valid_type=(MacePotentialData, orm.SinglefileData),
            required=False,
            help='Model to fine-tune, for the graph.',
        )
        spec.input('checkpoint', valid_type=orm.SinglefileData, required=False, help='Checkpoint to continue from.')
        spec.inputs.validator = _check_inputs
        spec.output('potential', valid_type=MacePotentialData, required=False, help='The trained model.')
        spec.output(
            'checkpoint',
            valid_type=orm.SinglefileData,
            required=False,
            help='Last checkpoint of an unfinished training.',
        )
        spec.output('history', valid_type=orm.Dict, required=False, help='Loss and errors by epoch (eV, eV/Å, eV/Å³).')
        spec.output('descriptors', valid_type=orm.ArrayData, required=False, help='Descriptors of the training set.')
        spec.exit_code(312, 'ERROR_KILLED', message='MACE was killed: {reason}')
        spec.exit_code(320, 'ERROR_OUT_OF_MEMORY', message='MACE ran out of memory: {reason}')
        spec.exit_code(321, 'ERROR_LABELS_DROPPED', message='MACE did not read all labels that it was sent: {reason}')
        spec.exit_code(322, 'ERROR_CHECKPOINT_IGNORED', message='MACE did not continue from the checkpoint: {reason}')

    def write_inputs(self, folder: Path) -> dict[str, Any]:
        """Write the checkpoint."""
        parameters = {'heads': self.inputs.heads['heads'], 'seed': self.inputs.seed.value, 'checkpoint': None}
        if 'checkpoint' in self.inputs:
            checkpoint = self.inputs.checkpoint
            parameters['checkpoint'] = checkpoint.filename
            (folder / checkpoint.filename).write_bytes(checkpoint.get_content(mode='rb'))
        return parameters

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Link the data folder."""
        info = super().prepare_for_submission(folder)
        data = self.inputs.data
        source = f'{data.get_remote_path()}/{DATA_FOLDER}'
        info.remote_symlink_list = [(data.computer.uuid, source, DATA_FOLDER)]
        return info


def _check_inputs(inputs: Mapping[str, Any], port: Any) -> str | None:
    if (message := validate_calc_job(inputs, port)) is not None:
        return str(message)
    data, code = inputs['data'].computer, inputs['code'].computer or inputs['metadata'].get('computer')
    if data.uuid != code.uuid:
        return f'the data lie on {data.label}, the code runs on {code.label}: run "traincraft.mace_data" there'
    return None
