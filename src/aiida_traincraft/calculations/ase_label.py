"""Labels of a batch of structures by an ASE calculator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiida_traincraft.calculations.base import WorkerCalculation
from aiida_traincraft.data.bulk import link_inputs
from aiida_traincraft.data.ledger import LedgerData
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.data.potentials.base import PotentialData
from aiida_traincraft.data.reading import iterate_structures
from aiida_traincraft.science.structure import write_frames

LABELS_FILE = 'labels.frames'
ROWS_FILE = 'rows.jsonl'


class AseLabelCalculation(WorkerCalculation):
    """Label every structure of a manifest with a registered calculator or a potential (the teacher).

    A structure whose label fails is a row in the ledger with its reason, never the end of the batch. A job that dies
    leaves the labels and rows of what it had finished; with the parameter ``alone`` its only structure is blamed.
    """

    TASK = 'label'
    SENT_AGAIN = False
    RETRIEVE_TEMPORARY = (LABELS_FILE, ROWS_FILE)

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.inputs['metadata']['options']['parser_name'].default = 'traincraft.ase_label'
        spec.input('structures', valid_type=ManifestData, help='Structures to label, in order.')
        spec.input('potential', valid_type=PotentialData, required=False, help='Potential in place of a calculator.')
        spec.input('level_of_theory', valid_type=LevelOfTheoryData, help='What the labels are made with.')
        spec.output('manifest', valid_type=ManifestData, help='The labels, in the order of their structures.')
        spec.output('ledger', valid_type=LedgerData, help='What became of every structure.')

    def write_inputs(self, folder: Path) -> dict[str, Any]:
        """Write the structures and link them to this process."""
        uuids = self.inputs.structures.uuids
        link_inputs(self.node, uuids, 'members')
        write_frames(folder / 'structures.frames', (frame.bare() for frame in iterate_structures(uuids)))
        if 'potential' not in self.inputs:
            return {}
        self.inputs.potential.write_files(folder)
        return {'potential': self.inputs.potential.job_table()}
