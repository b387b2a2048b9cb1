"""Parser of ``traincraft.ase_label``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiida.engine import ExitCode

from aiida_traincraft.calculations.ase_label import LABELS_FILE
from aiida_traincraft.calculations.cores import job_cores
from aiida_traincraft.data.bulk import NewFrame, create_frames
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.ledger import LedgerData, LedgerRow
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.parsers.base import WorkerParser
from aiida_traincraft.science.structure import Structure, read_frames


class AseLabelParser(WorkerParser):
    """One label node per good row, one ledger row per structure."""

    def parse_result(self, result: dict[str, Any], folder: Path) -> ExitCode | None:
        """Store labels and ledger."""
        if result['status'] != 'ok':
            return None
        manifest, level = self.node.inputs.structures, self.node.inputs.level_of_theory.hash
        uuids, fingerprints = manifest.uuids, manifest.fingerprints
        good = [row['index'] for row in result['rows'] if row['status'] == 'ok']
        labelled = dict(zip(good, read_frames(folder / LABELS_FILE), strict=True))
        reasons = {row['index']: row['reason'] for row in result['rows'] if row['status'] != 'ok'}
        if sorted([*labelled, *reasons]) != list(range(len(uuids))):
            return self.exit('ERROR_UNREADABLE_OUTPUT', f'{len(result["rows"])} rows for {len(uuids)} structures')
        for index, frame in list(labelled.items()):
            frame.provenance['level_of_theory'] = level
            if (reason := _refusal(frame, fingerprints[index])) is not None:
                reasons[index] = reason
                del labelled[index]
        frames = [NewFrame(LabelData, frame, f'labels__{index:06d}') for index, frame in labelled.items()]
        stored = dict(zip(labelled, create_frames(self.node, frames), strict=True))
        cores = job_cores(self.node)
        costs = {row['index']: cores * row['seconds'] for row in result['rows'] if 'seconds' in row}
        rows = [
            LedgerRow(uuid, fingerprint, 'ok', label=stored[index].uuid, core_seconds=costs.get(index))
            if index in stored
            else LedgerRow(uuid, fingerprint, 'failed', reason=reasons[index], core_seconds=costs.get(index))
            for index, (uuid, fingerprint) in enumerate(zip(uuids, fingerprints, strict=True))
        ]
        self.out('manifest', ManifestData([s.uuid for s in stored.values()], [s.fingerprint for s in stored.values()]))
        self.out('ledger', LedgerData(rows))
        self.out_summary({key: value for key, value in result.items() if key != 'rows'})
        return None


def _refusal(frame: Structure, fingerprint: str) -> str | None:
    """Why a frame that the worker calls good is not a label of the structure that was sent."""
    if frame.content_hash() != fingerprint:
        return 'the labelled geometry is not the one that was sent'
    try:
        LabelData.frame_attributes(frame)
    except ValueError as error:
        return str(error)
    return None
