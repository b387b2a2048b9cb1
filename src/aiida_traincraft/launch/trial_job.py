"""One job of the doctor: run here, broken off when it is stuck, and told in plain words when it fails."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Iterator
from typing import Any

import plumpy
from aiida import orm
from aiida.engine import CalcJob, Process
from aiida.engine.daemon.execmanager import kill_calculation
from aiida.manage import get_manager
from aiida.orm.utils.log import DBLogHandler
from plumpy.greenback_bridge import run_until_complete

from aiida_traincraft.calculations.pw_outcome import retrieved_text
from aiida_traincraft.science.labelling.quantumespresso import error_message

ATTEMPTS = 'transport.task_maximum_attempts'
TAIL = 2000
"""Characters at the end of an output that may tell why it ended."""
# What a job or a scheduler says, and what to do about it; {role} is the role of the code.
REMEDIES = (
    (
        r'(?i)not enough slots',
        'MPI may start fewer processes here: lower num_mpiprocs_per_machine in [codes.{role}], or ask for more '
        'machines',
    ),
    (
        r'(?i)run as root',
        'mpirun refuses to run as root: put "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1" into '
        'prepend_text of [codes.{role}], or take a single process',
    ),
    (
        r'(?i)error while loading shared libraries|cannot open shared object',
        'load the modules that the program was built with, in prepend_text of [codes.{role}]',
    ),
    (
        r'(?i)invalid (partition|queue|account|qos)|(unknown|nonexistent) (queue|destination)|account/partition|'
        r'(queue|account|partition|qos)\b.{0,40}\b(not|invalid|does)',
        'set queue_name and account of [codes.{role}] to what you may use on this computer',
    ),
    (
        r'(sbatch|qsub|bsub|squeue|qstat|bjobs): (command )?not found',
        'the computer has no such scheduler, or not for shells without login: correct the scheduler of the computer, '
        'or "verdi computer configure" it with a login shell',
    ),
    (
        r'(?i)command not found|unable to find the specified executable|could not (access|find)',
        'correct the path of the code, or load its modules in prepend_text of [codes.{role}]',
    ),
    (r'(?i)exec format error|illegal instruction', 'the program was built for another processor: build it here'),
    (r'(?i)permission denied', 'you may not run or read this: see the permissions on the computer'),
    (r'(?i)out of memory|oom[-_ ]kill|\bMemoryError\b', 'the job needs more memory than it got'),
)


class TrialError(ValueError):
    """A trial job did not end well."""


class _Guard(plumpy.ProcessListener):
    """Ends the wait for a process that the engine paused: nobody would ever let it go on."""

    def __init__(self, deadline: asyncio.Timeout) -> None:
        super().__init__()
        self._deadline = deadline

    def on_process_paused(self, process: plumpy.Process) -> None:
        """Let the time run out."""
        self._deadline.reschedule(asyncio.get_running_loop().time())


class _Causes(logging.Handler):
    """Exceptions that the engine only logs."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the exception of a record."""
        if record.exc_info and record.exc_info[1] is not None:
            self.found.append(record.exc_info[1])


def run_trial(process_class: type[CalcJob], inputs: dict[str, Any], seconds: float, role: str) -> orm.CalcJobNode:
    """Run a job in this process and return its node.

    Parameters
    ----------
    process_class
        Kind of job.
    inputs
        Its inputs.
    seconds
        Time (s) after which it is broken off, wherever it is.
    role
        Role of its code, for the advice.

    Raises
    ------
    TrialError
        If it did not end with exit status 0: what went wrong and what to do.
    ValueError
        If the inputs are not valid.
    """
    # Without a broker: a profile that was just made has none running.
    runner = get_manager().create_runner(with_persistence=False, communicator=None)
    # Not the context manager of aiida-core: an exception that passes it leaves caching off for good.
    inputs = inputs | {'metadata': inputs['metadata'] | {'disable_cache': True}}
    with _one_attempt_without_noise() as causes:
        process = runner.instantiate_process(process_class, **inputs)
        try:
            run_until_complete(runner.loop, _step(process, seconds))
        except TimeoutError:
            if process.paused:
                reason = ' '.join(str(causes[-1] if causes else process.node.process_status).split())
                reason = f'the computer {process.node.computer.label} did not take the job: {reason}'
                raise TrialError(_with_remedy(reason, reason, role, process.node.pk)) from None
            raise TrialError(_stuck(process.node, seconds, role)) from None
        finally:
            if not process.has_terminated():
                _end(process)
    node: orm.CalcJobNode = process.node
    if not node.is_finished_ok:
        raise TrialError(explain(node, role))
    return node


def explain(node: orm.CalcJobNode, role: str) -> str:
    """Say what went wrong with a job that has ended, and what to do."""
    if node.is_excepted:
        return f'the job broke off: {(node.exception or "").strip().splitlines()[-1]} (PK {node.pk})'
    stdout, crash = retrieved_text(node, node.get_option('output_filename')), retrieved_text(node, 'CRASH')
    errors = (node.get_option('scheduler_stderr'), 'traincraft.err', 'aiida.err')
    stderr = '\n'.join(retrieved_text(node, name) for name in errors)
    said = error_message(crash, stdout) if '%%%' in crash + stdout else _last_words(stderr) or _last_words(stdout)
    reason = ' '.join((node.exit_message or f'exit status {node.exit_status}').split()).rstrip('. -')
    if said and said.rstrip('. ') not in reason:
        reason += f'; it said: {said}'
    return _with_remedy(f'{reason} (PK {node.pk})', f'{stderr}\n{crash}\n{stdout[-TAIL:]}\n{reason}', role, node.pk)


async def _step(process: plumpy.Process, seconds: float) -> None:
    async with asyncio.timeout(seconds) as deadline:
        process.add_process_listener(_Guard(deadline))
        await process.step_until_terminated()


def _end(process: Process) -> None:
    # The computer may be what is broken: what cannot be cancelled there is left to its own limits.
    with contextlib.suppress(Exception), process.node.get_authinfo().get_transport() as transport:
        kill_calculation(process.node, transport)
    process.kill('broken off by the doctor', force_kill=True)


def _stuck(node: orm.CalcJobNode, seconds: float, role: str) -> str:
    state = node.get_scheduler_state()
    name = 'before it was submitted' if state is None else state.value
    advice = (
        'wait for free machines, or name a queue for short jobs in queue_name of [codes.{role}]'
        if name in ('queued', 'queued held')
        else 'the program or the computer hangs: look into its folder {folder}'
    )
    told = advice.format(role=role, folder=node.get_remote_workdir())
    return f'no end after {seconds:g} s ({name}), broken off: {told}; a longer --timeout waits longer (PK {node.pk})'


def _with_remedy(reason: str, text: str, role: str, pk: int) -> str:
    """Add what to do; the line that tells so says more than an exit message."""
    for pattern, remedy in REMEDIES:
        found = re.search(pattern, text)
        if found:
            (line,) = text[text.rfind('\n', 0, found.start()) + 1 :].splitlines()[:1]
            line = ' '.join(line.split())[:200]
            told = reason if line in reason else f'"{line}" (PK {pk})'
            return f'{told}. What to do: {remedy.format(role=role)}'
    return reason


def _last_words(text: str) -> str:
    """Last line that is more than a ruler."""
    lines = [line.strip() for line in text.splitlines() if re.search(r'[A-Za-z]', line)]
    return lines[-1][:200] if lines else ''


@contextlib.contextmanager
def _one_attempt_without_noise() -> Iterator[list[BaseException]]:
    """Try transport tasks once, and keep what goes wrong with them instead of printing it."""
    profile = get_manager().get_profile()
    before = profile.options.get(ATTEMPTS)
    logger, causes = logging.getLogger('aiida'), _Causes()
    printing = [handler for handler in logger.handlers if not isinstance(handler, DBLogHandler)]
    levels = [handler.level for handler in printing]
    logger.addHandler(causes)
    for handler in printing:
        handler.setLevel(logging.CRITICAL + 1)
    # In memory only: the configuration is not written while the job runs.
    profile.set_option(ATTEMPTS, 1)
    try:
        yield causes.found
    finally:
        profile.unset_option(ATTEMPTS)
        if before is not None:
            profile.set_option(ATTEMPTS, before)
        logger.removeHandler(causes)
        for handler, level in zip(printing, levels, strict=True):
            handler.setLevel(level)
