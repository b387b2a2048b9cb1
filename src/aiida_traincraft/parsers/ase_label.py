"""Parser of ``traincraft.ase_label``."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

from aiida.engine import ExitCode

from aiida_traincraft.calculations.ase_label import LABELS_FILE, ROWS_FILE
from aiida_traincraft.calculations.cores import job_cores
from aiida_traincraft.data.bulk import NewFrame, create_frames
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.ledger import LedgerData, LedgerRow
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.parsers.base import WorkerParser
from aiida_traincraft.science.structure import Structure, from_record, iterate_records, read_frames


class AseLabelParser(WorkerParser):
    """One label node per good row, one ledger row per structure."""

    def parse_result(self, result: dict[str, Any], folder: Path) -> ExitCode | None:
        """Store labels and ledger."""
        if result['status'] != 'ok':
            return None
        rows, total = result['rows'], len(self.node.inputs.structures)
        if [row['index'] for row in rows] != list(range(total)):
            return self.exit('ERROR_UNREADABLE_OUTPUT', f'{len(rows)} rows for {total} structures')
        self._store(rows, read_frames(folder / LABELS_FILE))
        self.out_summary({key: value for key, value in result.items() if key != 'rows'})
        return None

    def parse_dead(self, folder: Path, reason: str) -> None:
        """Store the labels that a job had finished when it died."""
        rows = _finished(folder / ROWS_FILE)
        if not rows and self.node.inputs.parameters.get('alone', False):
            rows = [{'index': 0, 'status': 'failed', 'reason': f'its process died: {reason}'}]
        if rows:
            good = sum(row['status'] == 'ok' for row in rows)
            records = islice(iterate_records(folder / LABELS_FILE), good) if good else ()
            self._store(rows, [from_record(record) for record in records])

    def _store(self, told: list[dict[str, Any]], frames: list[Structure]) -> None:
        """Store labels and ledger of the first structures of the batch."""
        manifest, level = self.node.inputs.structures, self.node.inputs.level_of_theory.hash
        uuids, fingerprints = manifest.uuids[: len(told)], manifest.fingerprints[: len(told)]
        good = [row['index'] for row in told if row['status'] == 'ok']
        labelled = dict(zip(good, frames, strict=True))
        reasons = {row['index']: row['reason'] for row in told if row['status'] != 'ok'}
        for index, frame in list(labelled.items()):
            frame.provenance['level_of_theory'] = level
            if (reason := _refusal(frame, fingerprints[index])) is not None:
                reasons[index] = reason
                del labelled[index]
        new = [NewFrame(LabelData, frame, f'labels__{index:06d}') for index, frame in labelled.items()]
        stored = dict(zip(labelled, create_frames(self.node, new), strict=True))
        cores = job_cores(self.node)
        costs = {row['index']: cores * row['seconds'] for row in told if 'seconds' in row}
        rows = [
            LedgerRow(uuid, fingerprint, 'ok', label=stored[index].uuid, core_seconds=costs.get(index))
            if index in stored
            else LedgerRow(uuid, fingerprint, 'failed', reason=reasons[index], core_seconds=costs.get(index))
            for index, (uuid, fingerprint) in enumerate(zip(uuids, fingerprints, strict=True))
        ]
        self.out('manifest', ManifestData([s.uuid for s in stored.values()], [s.fingerprint for s in stored.values()]))
        self.out('ledger', LedgerData(rows))


def _finished(path: Path) -> list[dict[str, Any]]:
    """Rows that a job had written whole when it died."""
    if not path.is_file():
        return []
    *whole, _ = path.read_text(encoding='utf-8').split('\n')
    return [json.loads(line) for line in whole]


def _refusal(frame: Structure, fingerprint: str) -> str | None:
    """Why a frame that the worker calls good is not a label of the structure that was sent."""
    if frame.content_hash() != fingerprint:
        return 'the labelled geometry is not the one that was sent'
    try:
        LabelData.frame_attributes(frame)
    except ValueError as error:
        return str(error)
    return None
