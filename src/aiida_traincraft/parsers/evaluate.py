"""Parser of ``traincraft.evaluate``."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import ExitCode

from aiida_traincraft.parsers.base import WorkerParser


class EvaluateParser(WorkerParser):
    """Errors as nodes."""

    def parse_result(self, result: dict[str, Any], folder: Path) -> ExitCode | None:
        """Store the errors."""
        if result['status'] != 'ok':
            return None
        rows = json.dumps(result.pop('rows')).encode()
        self.out('per_structure', orm.SinglefileData(io.BytesIO(rows), filename='per_structure.json'))
        self.out('errors', orm.Dict(result))
        return None
