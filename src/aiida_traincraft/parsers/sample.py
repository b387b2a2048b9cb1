"""Parser of ``traincraft.sample``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiida.engine import ExitCode

from aiida_traincraft.calculations.sample import FRAMES_FILE
from aiida_traincraft.data.frames.pool import FramesData
from aiida_traincraft.parsers.base import WorkerParser, check_count
from aiida_traincraft.science.structure import read_frames


class SampleParser(WorkerParser):
    """All frames as one node, and how each run ended."""

    def parse_result(self, result: dict[str, Any], folder: Path) -> ExitCode | None:
        """Store frames and summary."""
        if result['status'] != 'ok':
            return None
        frames = read_frames(folder / FRAMES_FILE)
        check_count(FRAMES_FILE, len(frames), sum(run['frames'] for run in result['runs']))
        self.out_summary(result)
        if not frames and all(run['end'].startswith('broken') for run in result['runs']):
            ends = ', '.join(sorted({run['end'] for run in result['runs']}))
            return self.exit('ERROR_NOTHING_PRODUCED', f'every run broke before a frame was kept: {ends}')
        measure = self.node.inputs.potential.measure if 'potential' in self.node.inputs else None
        self.out('frames', FramesData(frames, measure))
        return None
