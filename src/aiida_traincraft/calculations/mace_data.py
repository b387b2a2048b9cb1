"""Training data for MACE: written once per computer, and checked there before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiida import orm

from aiida_traincraft.calculations.base import WorkerCalculation
from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.potentials.mace import MODEL, MacePotentialData
from aiida_traincraft.science.training.mace.input import (
    DATA_FOLDER,
    FOUNDATION_FILE,
    label_counts,
    split_validation,
    write_data,
)


class MaceDataCalculation(WorkerCalculation):
    """Write the datasets of all heads, and check the settings against the MACE that is installed there.

    Every training of a committee links the folder, so that the data travel once.
    """

    TASK = 'mace_data'

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input_namespace(
            'datasets', valid_type=DatasetData, dynamic=True, help='Dataset of each head (split "train").'
        )
        spec.input(
            'foundation',
            valid_type=(MacePotentialData, orm.SinglefileData),
            required=False,
            help='Model to fine-tune: a potential, or a file of MACE.',
        )
        spec.output(
            'heads',
            valid_type=orm.Dict,
            help='E0s (eV) of each head, how many labels of a kind it has, and the baseline.',
        )

    def write_inputs(self, folder: Path) -> dict[str, Any]:
        """Write one training and one validation file per head, and the model to fine-tune."""
        # Another run's folder may be gone from the computer.
        self.node.base.caching.is_valid_cache = False
        training = self.inputs.parameters['training']
        data = folder / DATA_FOLDER
        data.mkdir()
        heads = []
        # The campaign's own head comes last: MACE chooses its checkpoints by the last one.
        for name in sorted(self.inputs.datasets, key=lambda name: (name == training['head'], name)):
            dataset = self.inputs.datasets[name]
            parts = split_validation(dataset.get_structures('train'), training['valid_fraction'])
            counts = {}
            for split, structures in zip(('train', 'valid'), parts, strict=True):
                write_data(data / f'{name}_{split}.xyz', structures)
                counts[split] = label_counts(structures)
            heads.append({'name': name, 'e0': dataset.e0, 'counts': counts})
        if 'foundation' in self.inputs:
            (data / FOUNDATION_FILE).write_bytes(model_content(self.inputs.foundation))
        return {'heads': heads}


def model_content(node: MacePotentialData | orm.SinglefileData) -> bytes:
    """Content of a model file; of a committee that of the first member."""
    if isinstance(node, MacePotentialData):
        return node.read_file(MODEL.format(0))
    return bytes(node.get_content(mode='rb'))
