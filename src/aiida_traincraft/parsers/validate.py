"""Parser of ``traincraft.validate``."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import ExitCode

from aiida_traincraft.data.frames.pool import FramesData
from aiida_traincraft.parsers.base import WorkerParser, check_count
from aiida_traincraft.parsers.evaluate import RUN_FACTS
from aiida_traincraft.science.structure import read_frames
from aiida_traincraft.science.worker.tasks.validate import PLANNED_FILE


class ValidateParser(WorkerParser):
    """Findings and planned structures as nodes."""

    def parse_result(self, result: dict[str, Any], folder: Path) -> ExitCode | None:
        """Store what was found."""
        if result['status'] != 'ok':
            return None
        planned = read_frames(folder / PLANNED_FILE)
        check_count(PLANNED_FILE, len(planned), result['planned'])
        if planned:
            self.out('planned', FramesData(planned))
        findings = json.dumps(result['findings']).encode()
        self.out('findings', orm.SinglefileData(io.BytesIO(findings), filename='findings.json'))
        self.out_summary({key: result[key] for key in RUN_FACTS})
        return None
