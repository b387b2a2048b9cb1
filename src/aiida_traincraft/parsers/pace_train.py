"""Parser of ``traincraft.pace_train``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import ExitCode

from aiida_traincraft.calculations.pace_train import INTERIM_FILE, PARTIAL_FILE, TARGET_FILE
from aiida_traincraft.data.potentials.pace import YAML, PacePotentialData
from aiida_traincraft.parsers.base import WorkerParser
from aiida_traincraft.science.models.ace_check import check_potential
from aiida_traincraft.science.training.ace.pacemaker import read_metrics
from aiida_traincraft.science.worker.tasks.pace_train import BASELINE_FILE


class PaceTrainParser(WorkerParser):
    """Potential (or the last interim one), history, and which way the fit ended."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Keep history and interim potential even of a job that was killed before it could report."""
        history = {key: self._metrics(f'{prefix}metrics.txt') for key, prefix in (('train', ''), ('test', 'test_'))}
        if history['train']:
            self.out('history', orm.Dict(history))
        exit_code = super().parse(**kwargs)
        folder = Path(kwargs['retrieved_temporary_folder'])
        if exit_code is not None and 'interim' not in self.outputs and 'potential' not in self.outputs:
            # pacemaker may be killed while it writes its own.
            whole = _reads_well(folder / INTERIM_FILE), _is_whole(folder / PARTIAL_FILE, folder / TARGET_FILE)
            if any(whole):
                path = folder / (INTERIM_FILE if whole[0] else PARTIAL_FILE)
                self.out('interim', self._potential(path, {}))
        return exit_code

    def parse_result(self, result: dict[str, Any], folder: Path) -> ExitCode | None:
        """Store what the fit left behind, whichever way it ended."""
        result.pop('history', None)
        metrics = self.name_left_out(result)
        self.out_summary(result)
        if result['status'] != 'ok':
            return None
        if result['end'] == 'walltime':
            self.out('interim', self._potential(folder / INTERIM_FILE, metrics))
            return self.exit('ERROR_OUT_OF_WALLTIME', 'pacemaker was stopped; its interim potential is kept')
        self.out('potential', self._potential(folder / YAML, metrics))
        return None

    def _metrics(self, name: str) -> list[dict[str, Any]]:
        try:
            return read_metrics(self.retrieved.base.repository.get_object_content(name))
        # A damaged table costs only the history.
        except Exception:
            return []

    def _baseline(self) -> dict[str, Any] | None:
        """Baseline as the fit began with it; None where it did not begin."""
        try:
            return dict(json.loads(self.retrieved.base.repository.get_object_content(BASELINE_FILE)))
        except (OSError, ValueError):
            return None

    def _potential(self, path: Path, result: dict[str, Any]) -> PacePotentialData:
        training = self.node.inputs.parameters['training']
        return PacePotentialData(
            path,
            e0=self.node.inputs.dataset.e0,
            cutoff=result.get('cutoff', training['cutoff']),
            baseline=self._baseline() or training['baseline'],
            metrics=result,
        )


def _reads_well(path: Path) -> bool:
    """Whether a file is a potential from beginning to end."""
    try:
        check_potential(path)
    except ValueError:
        return False
    return True


def _is_whole(path: Path, target: Path) -> bool:
    """Whether an interim potential was written to its end: it has as many lines as the target of the fit."""
    return (
        _reads_well(path)
        and target.is_file()
        and len(path.read_text(encoding='utf-8').splitlines())
        >= len(target.read_text(encoding='utf-8', errors='replace').splitlines())
        > 0
    )
