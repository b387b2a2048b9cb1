"""What validators say of a potential, found out on a compute node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiida import orm

from aiida_traincraft.calculations.base import WorkerCalculation
from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.frames.pool import FramesData
from aiida_traincraft.data.potentials.base import PotentialData
from aiida_traincraft.science.structure import write_frames
from aiida_traincraft.science.worker.tasks.validate import DIELECTRIC_FOLDER, LABELLED_FILE, PLANNED_FILE, STARTS_FILE


class ValidateCalculation(WorkerCalculation):
    """Run validators on a potential; what they find is no verdict yet."""

    TASK = 'validate'
    RETRIEVE_TEMPORARY = (PLANNED_FILE,)

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input('potential', valid_type=PotentialData, help='The potential to validate.')
        spec.input(
            'dielectric', valid_type=PotentialData, required=False, help='Model of dipoles and polarizabilities.'
        )
        spec.input('starts', valid_type=FramesData, required=False, help='Structures that validators start from.')
        spec.input('test_set', valid_type=DatasetData, required=False, help='The sealed test set.')
        spec.output('findings', valid_type=orm.SinglefileData, help='Numbers and curves of every validator (JSON).')
        spec.output('planned', valid_type=FramesData, required=False, help='Structures that tell numbers.')

    def write_inputs(self, folder: Path) -> dict[str, Any]:
        """Write potentials, starting structures and test set."""
        if 'starts' in self.inputs:
            write_frames(folder / STARTS_FILE, self.inputs.starts.get_frames())
        if 'test_set' in self.inputs:
            write_frames(folder / LABELLED_FILE, self.inputs.test_set.iterate('test'))
        self.inputs.potential.write_files(folder)
        tables = {'potential': self.inputs.potential.job_table(), 'dielectric': None}
        if 'dielectric' in self.inputs:
            (folder / DIELECTRIC_FOLDER).mkdir()
            self.inputs.dielectric.write_files(folder / DIELECTRIC_FOLDER)
            tables['dielectric'] = self.inputs.dielectric.job_table()
        return tables
