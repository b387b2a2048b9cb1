"""What all parsers share: the worker's result and its errors as exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import CalcJob, ExitCode
from aiida.parsers import Parser

from aiida_traincraft.calculations.base import STDERR, STDOUT
from aiida_traincraft.science.errors import shortened
from aiida_traincraft.science.models.ace_check import check_fast, check_potential, read_active_set
from aiida_traincraft.science.worker.main import RESULT_FILE, digest_result
from aiida_traincraft.science.workspace import check_archive, check_digests

TIMED_OUT = 'Timeout ('
"""What Python's faulthandler says of a process that it ends."""
KINDS = {
    'missing_package': 'ERROR_MISSING_PACKAGE',
    'bad_input': 'ERROR_BAD_INPUT',
    'walltime': 'ERROR_OUT_OF_WALLTIME',
    'no_result': 'ERROR_NOTHING_PRODUCED',
    'not_finite': 'ERROR_NOT_FINITE',
    'killed': 'ERROR_KILLED',
    'out_of_memory': 'ERROR_OUT_OF_MEMORY',
    'labels_dropped': 'ERROR_LABELS_DROPPED',
    'checkpoint_ignored': 'ERROR_CHECKPOINT_IGNORED',
}

CONTENT: dict[str, Callable[[Path], Any]] = {
    '.yaml': check_potential,
    '.yace': check_fast,
    '.asi': read_active_set,
    '.npz': check_archive,
    '.model': check_archive,
    '.pt': check_archive,
}
"""Judges of whole files, by their ending."""


def check_count(name: str, found: int, told: int) -> None:
    """Refuse a file with another number of frames than the job says it wrote.

    Raises
    ------
    ValueError
        With both numbers.
    """
    if found != told:
        raise ValueError(f'{name} holds {found} frames, the job wrote {told}')


class WorkerParser(Parser):
    """Read ``result.json``; subclasses turn it into nodes."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Turn what was retrieved into outputs and an exit code."""
        folder = Path(kwargs.get('retrieved_temporary_folder') or '.')
        try:
            result = json.loads(self.retrieved.base.repository.get_object_content(RESULT_FILE))
        except FileNotFoundError:
            reason = self._last_words()
            try:
                self.parse_dead(folder, reason)
            # What a dying job wrote may be anything.
            except Exception as error:
                reason += f'; what it left cannot be used: {type(error).__name__}: {error}'
            return self.exit(self._silent_end(), reason)
        except ValueError as error:
            return self.exit('ERROR_UNREADABLE_OUTPUT', f'{RESULT_FILE}: {error}')
        try:
            if result['status'] not in ('ok', 'error'):
                raise ValueError(f'status is {result["status"]!r}')
            if result.pop('digest', None) != digest_result(result):
                raise ValueError(f'{RESULT_FILE} is not what the job wrote')
            if result['status'] == 'ok':
                _check_products(result.get('digests', {}), folder, self.node.process_class.RETRIEVE_TEMPORARY)
            failed = self.parse_result(result, folder)
            if failed is None and result['status'] != 'ok':
                failed = self.exit(KINDS[result['kind']], str(result['message']))
        # Whatever a damaged file does to those who read it.
        except Exception as error:
            return self.exit('ERROR_UNREADABLE_OUTPUT', f'{type(error).__name__}: {error}')
        return failed

    def parse_result(self, result: dict[str, Any], folder: Path) -> ExitCode | None:
        """Make the outputs; called for failed tasks too, which may leave something worth keeping."""
        raise NotImplementedError

    def parse_dead(self, folder: Path, reason: str) -> None:
        """Make outputs of what a job had finished when it died without a result; most have nothing then."""

    def exit(self, name: str, reason: str) -> ExitCode:
        """Exit code of the calculation with its reason filled in."""
        code: ExitCode = self.exit_codes[name]
        return code.format(reason=shortened(reason))

    def out_summary(self, result: dict[str, Any]) -> None:
        """Store what the task reported."""
        self.out('summary', orm.Dict({key: value for key, value in result.items() if key != 'digests'}))

    def name_left_out(self, result: dict[str, Any]) -> dict[str, Any]:
        """Replace indices of training structures that were left out by the UUIDs of their labels.

        Returns
        -------
        dict
            The result with only their number, for the potential itself.
        """
        indices = result.get('left_out', [])
        if indices:
            labels = [row.label for row in self.node.inputs.dataset.rows if row.split == 'train']
            result['left_out'] = [labels[index] for index in indices]
        short = {key: value for key, value in result.items() if key != 'left_out'}
        return short | {'n_left_out': len(indices)}

    def _silent_end(self) -> str:
        """What ended a job that could not report, as far as the scheduler told AiiDA."""
        codes = CalcJob.exit_codes
        if self.node.exit_status == codes.ERROR_SCHEDULER_OUT_OF_WALLTIME.status:
            return 'ERROR_OUT_OF_WALLTIME'
        if (
            self.node.exit_status == codes.ERROR_SCHEDULER_OUT_OF_MEMORY.status
            and 'ERROR_OUT_OF_MEMORY' in self.exit_codes
        ):
            return 'ERROR_OUT_OF_MEMORY'
        return 'ERROR_OUT_OF_WALLTIME' if TIMED_OUT in self._text(STDERR) else 'ERROR_NO_RESULT'

    def _last_words(self) -> str:
        if TIMED_OUT in self._text(STDERR):
            _, _, trace = self._text(STDERR).partition(TIMED_OUT)
            place = next(
                (line.strip() for line in trace.splitlines() if line.startswith('  File')), 'nobody knows where'
            )
            return f'the {self.node.get_option("max_wallclock_seconds")} s of the job were over, in {place}'
        for name in (STDERR, STDOUT):
            if lines := self._text(name).strip().splitlines():
                return f'no {RESULT_FILE}; last line of {name}: {lines[-1][:300]}'
        return f'no {RESULT_FILE} and no output'

    def _text(self, name: str) -> str:
        """Content of a retrieved text file; empty if there is none."""
        try:
            content: bytes = self.retrieved.base.repository.get_object_content(name, mode='rb')
        except FileNotFoundError:
            return ''
        return content.decode(errors='replace')


def _check_products(told: Mapping[str, str], folder: Path, patterns: Sequence[str]) -> None:
    """Refuse products that are not what the job wrote; where it told no digest, those that are not whole."""
    check_digests(folder, told)
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    for path in sorted(found):
        if str(path.relative_to(folder)) not in told and (check := CONTENT.get(path.suffix)) is not None:
            check(path)
