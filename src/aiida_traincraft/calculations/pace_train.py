"""Nonlinear ACE fit by pacemaker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiida import orm

from aiida_traincraft.calculations.base import WorkerCalculation
from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.potentials.pace import YAML, PacePotentialData
from aiida_traincraft.science.structure import write_extxyz
from aiida_traincraft.science.worker.tasks.pace_train import BASELINE_FILE

INTERIM_FILE = 'interim.yaml'
PARTIAL_FILE, TARGET_FILE = 'interim_potential_0.yaml', 'target_potential.yaml'


class PaceTrainCalculation(WorkerCalculation):
    """Run ``pacemaker input.yaml``; the pickle that pacemaker wants is written on the compute node."""

    TASK = 'pace_train'
    SENT_AGAIN = False
    RETRIEVE = ('input.yaml', 'log.txt', 'metrics.txt', 'test_metrics.txt', BASELINE_FILE)
    RETRIEVE_TEMPORARY = (YAML, INTERIM_FILE, PARTIAL_FILE, TARGET_FILE)

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input('dataset', valid_type=DatasetData, help='Labels to train on (split "train").')
        spec.input('test_set', valid_type=DatasetData, required=False, help='Labels followed while training ("test").')
        spec.input('initial', valid_type=PacePotentialData, required=False, help='Potential to start from.')
        spec.output('potential', valid_type=PacePotentialData, required=False, help='The fitted potential.')
        spec.output(
            'interim', valid_type=PacePotentialData, required=False, help='Last potential of an unfinished fit.'
        )
        spec.output('history', valid_type=orm.Dict, required=False, help='Loss and errors by iteration (eV, eV/Å).')
        spec.exit_code(312, 'ERROR_KILLED', message='pacemaker was killed: {reason}')

    def write_inputs(self, folder: Path) -> dict[str, Any]:
        """Write training set, test set and start."""
        write_extxyz(folder / 'dataset.extxyz', self.inputs.dataset.iterate('train'))
        if 'test_set' in self.inputs:
            write_extxyz(folder / 'test.extxyz', self.inputs.test_set.iterate('test'))
        before = {}
        if 'initial' in self.inputs:
            (folder / 'initial.yaml').write_bytes(self.inputs.initial.read_file(YAML))
            before = {'baseline': self.inputs.initial.baseline}
        return {'e0': self.inputs.dataset.e0} | before
