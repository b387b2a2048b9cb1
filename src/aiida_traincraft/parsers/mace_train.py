"""Parser of ``traincraft.mace_train``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode

from aiida_traincraft.data.potentials.base import NO_BASELINE
from aiida_traincraft.data.potentials.mace import MacePotentialData
from aiida_traincraft.parsers.base import WorkerParser
from aiida_traincraft.science.training.mace.log import newest_checkpoint, read_results
from aiida_traincraft.science.training.mace.watch import RESTART, RESULTS
from aiida_traincraft.science.worker.tasks.mace_train import DESCRIPTORS_FILE


class MaceTrainParser(WorkerParser):
    """Model, training curve, descriptors; of an unfinished training the checkpoint to continue from."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Keep curve and checkpoint even of a job that was killed before it could report."""
        folder = Path(kwargs['retrieved_temporary_folder'])
        if history := _history(folder):
            self.out('history', orm.Dict({'epochs': history}))
        exit_code = super().parse(**kwargs)
        if exit_code is not None and (checkpoint := newest_checkpoint(folder / RESTART)) is not None:
            self.out('checkpoint', orm.SinglefileData(io.BytesIO(checkpoint.read_bytes()), filename=checkpoint.name))
        return exit_code

    def parse_result(self, result: dict[str, Any], folder: Path) -> ExitCode | None:
        """Store the model."""
        result.pop('history', None)
        self.out_summary(result)
        if result['status'] != 'ok':
            return None
        for warning in result.get('warnings', []):
            self.logger.warning(warning)
        files = result['models']
        levels = {name: node.levels_of_theory for name, node in self.node.inputs.datasets.items()}
        self.out(
            'potential',
            MacePotentialData(
                [folder / files['model']],
                architecture=result['model'],
                cutoff=result['r_max'],
                elements=result['elements'],
                dtype=result['dtype'],
                heads=[
                    {
                        'name': head['name'],
                        'e0': head['e0'],
                        'level_of_theory': next(iter(levels.get(head['name'], [])), None),
                    }
                    for head in result['heads']
                ],
                metrics={key: result[key] for key in ('errors', 'epochs', 'stage', 'finished_early') if key in result}
                | {'seed': self.node.inputs.seed.value, 'lammps': self.node.inputs.parameters['training']['lammps']},
                compiled=[folder / files['compiled']] if files['compiled'] else (),
                lammps=[folder / files['lammps']] if files['lammps'] else (),
                baseline=self.node.inputs.heads.get_dict().get('baseline', NO_BASELINE),
            ),
        )
        if (folder / DESCRIPTORS_FILE).is_file():
            descriptors = orm.ArrayData()
            descriptors.set_array('descriptors', np.load(folder / DESCRIPTORS_FILE, allow_pickle=False))
            self.out('descriptors', descriptors)
        return None


def _history(folder: Path) -> list[dict[str, Any]]:
    results = sorted((folder / RESULTS).glob('*_train.txt'))
    try:
        return read_results(results[-1].read_text(encoding='utf-8')) if results else []
    # A damaged table costs only the history.
    except Exception:
        return []
