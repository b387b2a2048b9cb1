"""Parser of ``traincraft.pace_activeset``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import ExitCode

from aiida_traincraft.calculations.pace_activeset import DESCRIPTORS_FILE
from aiida_traincraft.data.potentials.pace import ASI, YACE, YAML, PacePotentialData
from aiida_traincraft.parsers.base import WorkerParser
from aiida_traincraft.science.models.ace_check import check_pair
from aiida_traincraft.science.workspace import read_arrays


class PaceActivesetParser(WorkerParser):
    """The completed potential and the descriptors of its training set."""

    def parse_result(self, result: dict[str, Any], folder: Path) -> ExitCode | None:
        """Store potential and descriptors."""
        if result['status'] != 'ok':
            return None
        before = self.node.inputs.potential
        (folder / YAML).write_bytes(before.read_file(YAML))
        check_pair(folder / YAML, folder / YACE)
        potential = PacePotentialData(
            folder / YAML,
            e0=before.e0,
            cutoff=before.cutoff,
            baseline=before.baseline,
            metrics=before.metrics,
            yace=folder / YACE,
            asi=folder / ASI,
            degenerate=result['degenerate'],
        )
        if result['degenerate']:
            self.logger.warning(result['message'])
        descriptors = orm.ArrayData()
        descriptors.set_array('descriptors', read_arrays(folder / DESCRIPTORS_FILE)['descriptors'])
        self.out('potential', potential)
        self.out('descriptors', descriptors)
        self.out_summary(result)
        return None
