"""Sampling on a compute node, with or without a potential that watches its own uncertainty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiida_traincraft.calculations.base import WorkerCalculation
from aiida_traincraft.data.bulk import link_inputs
from aiida_traincraft.data.frames.pool import FramesData
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.data.potentials.base import PotentialData
from aiida_traincraft.data.reading import read_structures
from aiida_traincraft.science.structure import write_frames

FRAMES_FILE = 'frames.frames'


class SampleCalculation(WorkerCalculation):
    """Run samplers from starting structures; with a potential, keep what it is unsure of and halt beyond ``hi``."""

    TASK = 'sample'
    RETRIEVE_TEMPORARY = (FRAMES_FILE,)

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input('starts', valid_type=(FramesData, ManifestData), help='Structures that the runs start from.')
        spec.input('potential', valid_type=PotentialData, required=False, help='Potential that drives the runs.')
        spec.output('frames', valid_type=FramesData, help='All frames kept, run by run.')

    def write_inputs(self, folder: Path) -> dict[str, Any]:
        """Write starting structures and potential."""
        starts = self.inputs.starts
        if isinstance(starts, ManifestData):
            link_inputs(self.node, starts.uuids, 'members')
            structures = read_structures(starts.uuids)
        else:
            structures = starts.get_frames()
        write_frames(folder / 'structures.frames', [structure.bare() for structure in structures])
        if 'potential' not in self.inputs:
            return {'potential': None}
        self.inputs.potential.write_files(folder)
        return {'potential': self.inputs.potential.job_table()}
