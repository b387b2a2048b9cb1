"""A running ``mace_run_train`` watched from outside: it stops for nothing, and its status tells nothing."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiida_traincraft.science.errors import TaskError
from aiida_traincraft.science.training.mace.input import NAME
from aiida_traincraft.science.training.mace.log import KINDS, newest_checkpoint, progress_line, read_labels, read_row

CHECKPOINTS, RESTART, RESULTS = 'checkpoints', 'restart', 'results'
"""Folders that MACE reads and writes; ``restart`` is ours."""


def is_whole(path: Path) -> bool:
    """Whether a checkpoint, which is a zip file, is there to its end."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False


class TrainingWatch:
    """What a running training has written so far.

    Parameters
    ----------
    folder
        Of the run; ``restart`` is made in it, and holds a whole copy of the newest checkpoint: MACE removes the old one
        before it has written the new one.
    log
        Name of the file of MACE's standard output.
    seed
        Of the training.
    heads
        Of each ``name`` and ``counts``, the labels sent.
    epochs
        To be done.
    resumed
        Epoch of the checkpoint that it has to begin with, or None; if it is ``epochs``, nothing more is to be done.

    Attributes
    ----------
    history
        Validation errors by epoch and head, see :func:`~aiida_traincraft.science.training.mace.log.read_row`.
    labels
        Labels that MACE has read, by head, by set ("train", "valid"), by kind.
    """

    def __init__(
        self,
        folder: Path,
        log: str,
        seed: int,
        heads: Sequence[Mapping[str, Any]],
        epochs: int,
        resumed: int | None,
    ) -> None:
        self.folder, self.heads, self.epochs, self.resumed = folder, heads, epochs, resumed
        self.log = folder / log
        self.results = folder / RESULTS / f'{NAME}_run-{seed}_train.txt'
        self.history: list[dict[str, Any]] = []
        self.labels: dict[str, Any] = {}
        self._offset = 0
        self._checked: set[tuple[str, str]] = set()
        self._started = False
        self._kept: tuple[str, int] | None = None
        (folder / RESTART).mkdir()

    def look(self) -> None:
        """Read what is new, keep a copy of a new checkpoint, report progress.

        Raises
        ------
        TaskError
            ``labels_dropped``, ``not_finite``, ``bad_input`` (labels that are not finite) or ``checkpoint_ignored``: to
            go on would be useless.
        """
        self._check_labels()
        # Copied before the results are read: those of its epoch are then among them.
        copy = self._copy_checkpoint()
        self._read_results()
        if copy is not None:
            new = copy.rename(copy.with_suffix(''))
            for old in (self.folder / RESTART).glob('*.pt'):
                if old != new:
                    old.unlink()

    def _check_labels(self) -> None:
        if len(self._checked) == 2 * len(self.heads):
            return
        self.labels = read_labels(self.log.read_text(errors='replace', encoding='utf-8'))
        for head in self.heads:
            for split, read in self.labels.get(head['name'], {}).items():
                self._checked.add((head['name'], split))
                for kind in KINDS.values():
                    sent, number = head['counts'][split][kind], read.get(kind, 0)
                    if number != sent:
                        raise TaskError(
                            'labels_dropped',
                            f'head "{head["name"]}", {split} set: {kind} sent {sent}, read by MACE {number}',
                        )

    def check_complete(self) -> None:
        """Check that MACE has said of all data what it has read.

        Raises
        ------
        TaskError
            ``labels_dropped``.
        """
        for head in self.heads:
            for split in ('train', 'valid'):
                if (head['name'], split) not in self._checked:
                    raise TaskError(
                        'labels_dropped', f'MACE does not say what it read of head "{head["name"]}" ({split} set)'
                    )

    def _copy_checkpoint(self) -> Path | None:
        newest = newest_checkpoint(self.folder / CHECKPOINTS)
        if newest is None:
            return None
        target = self.folder / RESTART / f'{newest.name}.partial'
        try:
            state = (newest.name, newest.stat().st_mtime_ns)
            if state == self._kept:
                return None
            shutil.copy(newest, target)
        except FileNotFoundError:
            # MACE removes the old one before it writes the new one.
            return None
        if not is_whole(target):
            target.unlink()
            return None
        self._kept = state
        return target

    def _read_results(self) -> None:
        if not self.results.is_file():
            return
        with self.results.open('rb') as handle:
            handle.seek(self._offset)
            lines = handle.read().splitlines(keepends=True)
        for line in lines:
            row = read_row(line.decode()) if line.endswith(b'\n') else None
            if row is None:
                break
            self._offset += len(line)
            if row['loss'] is None:
                # MACE would take the learning rate of the checkpoint with it.
                shutil.rmtree(self.folder / RESTART)
                if row['epoch'] is None:
                    # A lower rate would not help.
                    raise TaskError('bad_input', 'the loss is NaN or infinite before training: check the labels')
                raise TaskError('not_finite', f'the loss became NaN or infinite in epoch {row["epoch"]}')
            if row['epoch'] is None:
                if self.resumed == self.epochs:
                    # No epoch follows; these are the errors of the checkpoint.
                    self._add(row | {'epoch': self.resumed})
                continue
            if not self._started and self.resumed is not None and row['epoch'] != self.resumed:
                raise TaskError(
                    'checkpoint_ignored',
                    f'MACE began with epoch {row["epoch"]}, not with {self.resumed} of the checkpoint',
                )
            self._started = True
            if row['head'] is not None:
                self._add(row)

    def _add(self, row: dict[str, Any]) -> None:
        self.history.append(row)
        print(progress_line(row, self.epochs), flush=True)

    def reached(self) -> str:
        """How far the training has come, in words."""
        done = f'epoch {self.history[-1]["epoch"]}' if self.history else 'no epoch'
        kept = newest_checkpoint(self.folder / RESTART)
        return f'{done} of {self.epochs} was done; {"no checkpoint" if kept is None else kept.name} is kept'
