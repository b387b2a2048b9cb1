"""Parser of ``traincraft.evaluate``."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import ExitCode

from aiida_traincraft.data.frames.pool import FramesData
from aiida_traincraft.parsers.base import WorkerParser, check_count
from aiida_traincraft.science.structure import read_frames
from aiida_traincraft.science.worker.tasks.evaluate import PREDICTIONS_FILE

# What the worker says of the run itself.
RUN_FACTS = ('status', 'seconds', 'versions')


class EvaluateParser(WorkerParser):
    """Errors as nodes."""

    def parse_result(self, result: dict[str, Any], folder: Path) -> ExitCode | None:
        """Store the errors."""
        if result['status'] != 'ok':
            return None
        rows = json.dumps(result['rows']).encode()
        errors = {key: value for key, value in result.items() if key not in (*RUN_FACTS, 'rows', 'digests')}
        self.out('per_structure', orm.SinglefileData(io.BytesIO(rows), filename='per_structure.json'))
        predictions = read_frames(folder / PREDICTIONS_FILE)
        check_count(PREDICTIONS_FILE, len(predictions), len(result['rows']))
        self.out('predictions', FramesData(predictions, self.node.inputs.potential.measure))
        self.out('errors', orm.Dict(errors))
        self.out_summary({key: result[key] for key in RUN_FACTS})
        return None
