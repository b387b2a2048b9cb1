"""The one entry point that a compute node runs: ``python traincraft.zip`` in a job's folder.

Reads ``task.json`` (``{"task": name, "parameters": {...}}``), calls ``run`` of ``science.worker.tasks.<name>``, and
writes ``result.json``: ``{"status": "ok" | "error", "seconds": ..., "versions": {...}, ...}``. An error carries
``kind`` and ``message``; the parser turns the kind into an exit code. Progress goes to standard output, one line at a
time.
"""

from __future__ import annotations

import faulthandler
import hashlib
import importlib
import json
import platform
import sys
import time
import traceback
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from aiida_traincraft.science.errors import TaskError
from aiida_traincraft.science.optional import MissingLibraryError
from aiida_traincraft.science.workspace import digest_file

TASK_FILE = 'task.json'
RESULT_FILE = 'result.json'
# The rest is for the scheduler, which would end the job without a word.
WALLTIME_SHARE = 0.98
_VERSIONS = ('ase', 'numpy', 'python-ace', 'tensorpotential', 'mace-torch', 'torch', 'tblite')


def run_task(folder: Path) -> dict[str, Any]:
    """Run the task described in a folder and write its result there.

    Parameters
    ----------
    folder
        Absolute path of the job's folder.

    Returns
    -------
    dict
        What was written to ``result.json``.
    """
    start = time.monotonic()
    result: dict[str, Any]
    try:
        request = json.loads((folder / TASK_FILE).read_text(encoding='utf-8'))
        module = importlib.import_module(f'aiida_traincraft.science.worker.tasks.{request["task"]}')
        result = {'status': 'ok'} | _storable(module.run(request['parameters'], folder))
        result['digests'] = _digests(folder, request['parameters'].get('products', []))
    except TaskError as error:
        result = {'status': 'error', 'kind': error.kind, 'message': str(error)}
    except ModuleNotFoundError as error:
        traceback.print_exc()
        told = str(error) if isinstance(error, MissingLibraryError) else f'{error.name} is not installed'
        result = {
            'status': 'error',
            'kind': 'missing_package',
            'message': f'{told} for {sys.executable}',
        }
    except Exception as error:
        traceback.print_exc()
        result = {'status': 'error', 'kind': 'bad_input', 'message': f'{type(error).__name__}: {error}'}
    result |= {'seconds': round(time.monotonic() - start, 3), 'versions': versions()}
    # As it will be read: keys become text.
    result = json.loads(json.dumps(result, allow_nan=False))
    result['digest'] = digest_result(result)
    partial = folder / f'{RESULT_FILE}.partial'
    partial.write_text(json.dumps(result, allow_nan=False), encoding='utf-8')
    # A rename is atomic: the parser never sees half a file.
    partial.rename(folder / RESULT_FILE)
    return result


def digest_result(result: dict[str, Any]) -> str:
    """SHA-256 of a result, without the digest that it may tell itself."""
    rest = {key: value for key, value in result.items() if key != 'digest'}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _digests(folder: Path, patterns: list[str]) -> dict[str, str]:
    """SHA-256 of the files that a job hands over: what comes back is held against them."""
    products = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    return {str(path.relative_to(folder)): digest_file(path) for path in products}


def _storable(result: dict[str, Any]) -> dict[str, Any]:
    """Refuse here what JSON cannot hold: without a result file the parser would know no reason."""
    try:
        json.dumps(result, allow_nan=False)
    except ValueError as error:
        raise TaskError('not_finite', f'the result holds NaN or infinity: {error}') from error
    return result


def _seconds(folder: Path) -> float | None:
    """Time that the job has; None without a limit."""
    try:
        limit = json.loads((folder / TASK_FILE).read_text(encoding='utf-8'))['parameters'].get('max_seconds')
    except (OSError, ValueError, KeyError):
        return None
    return None if limit is None else float(limit)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers."""
    found = {'python': platform.python_version()}
    for name in _VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def main() -> int:
    """Run the task of the working directory; exit status 1 on an error, or at the end of the job's time."""
    folder = Path.cwd()
    if limit := _seconds(folder):
        # By a thread of C that needs no help of the interpreter; it tells where the process hung.
        faulthandler.dump_traceback_later(WALLTIME_SHARE * limit, exit=True)
    result = run_task(folder)
    faulthandler.cancel_dump_traceback_later()
    if result['status'] == 'error':
        print(f'ERROR ({result["kind"]}): {result["message"]}', file=sys.stderr)
        return 1
    return 0
