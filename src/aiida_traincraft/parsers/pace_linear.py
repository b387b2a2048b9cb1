"""Parser of ``traincraft.pace_linear``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import ExitCode

from aiida_traincraft.data.potentials.pace import POSTERIOR, YAML, PacePotentialData
from aiida_traincraft.parsers.base import WorkerParser
from aiida_traincraft.science.workspace import read_arrays


class PaceLinearParser(WorkerParser):
    """The potential and the figures of its fit."""

    def parse_result(self, result: dict[str, Any], folder: Path) -> ExitCode | None:
        """Store the potential."""
        if result['status'] != 'ok':
            return None
        metrics = self.name_left_out(result)
        potential = PacePotentialData(
            folder / YAML,
            e0=self.node.inputs.dataset.e0,
            cutoff=result['cutoff'],
            baseline=result['baseline'],
            metrics=metrics,
        )
        self.out('potential', potential)
        if (path := folder / POSTERIOR).is_file():
            posterior = orm.ArrayData()
            arrays = read_arrays(path)
            posterior.set_array('factor', arrays.pop('factor'))
            posterior.base.attributes.set_many({name: float(value) for name, value in arrays.items()})
            self.out('posterior', posterior)
        self.out_summary(result)
        if worse := result['worse_than_constant']:
            return self.exit('ERROR_WORSE_THAN_CONSTANT', '; '.join(worse))
        return None
