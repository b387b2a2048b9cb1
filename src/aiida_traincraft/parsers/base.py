"""What all parsers share: the worker's result and its errors as exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import CalcJob, ExitCode
from aiida.parsers import Parser

from aiida_traincraft.calculations.base import STDERR, STDOUT
from aiida_traincraft.science.worker.main import RESULT_FILE

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


class WorkerParser(Parser):
    """Read ``result.json``; subclasses turn it into nodes."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Turn what was retrieved into outputs and an exit code."""
        try:
            result = json.loads(self.retrieved.base.repository.get_object_content(RESULT_FILE))
        except FileNotFoundError:
            return self.exit(self._silent_end(), self._last_words())
        except ValueError as error:
            return self.exit('ERROR_UNREADABLE_OUTPUT', f'{RESULT_FILE}: {error}')
        folder = kwargs.get('retrieved_temporary_folder')
        try:
            failed = self.parse_result(result, Path(folder) if folder else Path())
        except (ValueError, KeyError, FileNotFoundError) as error:
            return self.exit('ERROR_UNREADABLE_OUTPUT', f'{type(error).__name__}: {error}')
        if failed is not None:
            return failed
        if result['status'] != 'ok':
            return self.exit(KINDS[result['kind']], result['message'])
        return None

    def parse_result(self, result: dict[str, Any], folder: Path) -> ExitCode | None:
        """Make the outputs; called for failed tasks too, which may leave something worth keeping."""
        raise NotImplementedError

    def exit(self, name: str, reason: str) -> ExitCode:
        """Exit code of the calculation with its reason filled in."""
        code: ExitCode = self.exit_codes[name]
        return code.format(reason=reason)

    def out_summary(self, result: dict[str, Any]) -> None:
        """Store what the task reported."""
        self.out('summary', orm.Dict(result))

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
        return 'ERROR_NO_RESULT'

    def _last_words(self) -> str:
        for name in (STDERR, STDOUT):
            try:
                lines = self.retrieved.base.repository.get_object_content(name).strip().splitlines()
            except FileNotFoundError:
                continue
            if lines:
                return f'no {RESULT_FILE}; last line of {name}: {lines[-1][:300]}'
        return f'no {RESULT_FILE} and no output'
