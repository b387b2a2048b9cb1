"""Parser of ``traincraft.mace_data``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import ExitCode

from aiida_traincraft.parsers.base import WorkerParser
from aiida_traincraft.science.worker.main import TASK_FILE


class MaceDataParser(WorkerParser):
    """What the data folder holds."""

    def parse_result(self, result: dict[str, Any], folder: Path) -> ExitCode | None:
        """Store the heads as the job was told them, the baseline, and what was found on the computer."""
        if result['status'] != 'ok':
            return None
        task = json.loads(self.node.base.repository.get_object_content(TASK_FILE))
        self.out('heads', orm.Dict({'heads': task['parameters']['heads'], 'baseline': result['baseline']}))
        self.out_summary(result)
        return None
