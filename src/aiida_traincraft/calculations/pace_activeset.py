"""Active set of an ACE potential."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiida import orm

from aiida_traincraft.calculations.base import WorkerCalculation
from aiida_traincraft.data.dataset import DatasetData, iterate_rows
from aiida_traincraft.data.potentials.pace import ASI, YACE, YAML, PacePotentialData
from aiida_traincraft.science.structure import write_frames

DESCRIPTORS_FILE = 'descriptors.npz'


class PaceActivesetCalculation(WorkerCalculation):
    """Run ``pace_activeset --all-atoms`` and ``pace_yaml2yace``; a degenerate active set is marked as such."""

    TASK = 'pace_activeset'
    RETRIEVE_TEMPORARY = (ASI, YACE, DESCRIPTORS_FILE)

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input('potential', valid_type=PacePotentialData, help='The potential to complete.')
        spec.input('dataset', valid_type=DatasetData, help='The labels that it was trained on.')
        spec.input('fit', valid_type=orm.Dict, required=False, help='Summary of the fit: what it left out stays out.')
        spec.output('potential', valid_type=PacePotentialData, help='The same potential with .asi and .yace.')
        spec.output('descriptors', valid_type=orm.ArrayData, help='Descriptor of every training structure.')

    def write_inputs(self, folder: Path) -> dict[str, Any]:
        """Write training set and potential."""
        left_out = set(self.inputs.fit['left_out']) if 'fit' in self.inputs else set()
        rows = [row for row in self.inputs.dataset.rows if row.split == 'train' and row.label not in left_out]
        write_frames(folder / 'dataset.frames', iterate_rows(rows))
        potential = self.inputs.potential
        (folder / YAML).write_bytes(potential.read_file(YAML))
        return {'e0': potential.e0}
