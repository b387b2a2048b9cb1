"""The AiiDA profile and its daemon."""

from __future__ import annotations

import concurrent.futures
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import psutil
from aiida import orm
from aiida.common.exceptions import AiidaException, MissingConfigurationError
from aiida.engine import ProcessState
from aiida.engine.daemon.client import DaemonClient, get_daemon_client
from aiida.engine.processes.control import play_processes
from aiida.manage import get_manager
from aiida.manage.configuration import get_config, load_profile
from aiida.plugins import BrokerFactory

from aiida_traincraft.data.locks import wait_for_writers

# AiiDA gives its daemon two seconds and the broker ten, too few on a busy machine.
DAEMON_TIMEOUT = 60
BROKER_TIMEOUT = 120
RPC_TIMEOUT = 15
RESTART = 'verdi daemon stop; verdi process repair; verdi daemon start'
"""For processes that are no campaigns; those have "traincraft resume"."""


def has_default() -> bool:
    """Whether there is a default profile."""
    try:
        return get_config(create=False).default_profile_name is not None
    except MissingConfigurationError:
        return False


def load(name: str | None) -> str:
    """Load a profile and return its name.

    Raises
    ------
    click.ClickException
        If there is no such profile.
    """
    config = get_config(create=True)
    chosen = name or config.default_profile_name
    if chosen is None or chosen not in config.profile_names:
        known = ', '.join(config.profile_names) or 'none'
        wanted = f'profile {name!r}' if name else 'default profile'
        raise click.ClickException(
            f'there is no {wanted} (profiles: {known}); make one with "traincraft -p NAME setup --create"'
        )
    load_profile(chosen, allow_switch=True)
    wait_for_writers()
    return str(chosen)


def ensure_daemon(workers: int = 1) -> bool:
    """Start the daemon if it is not running and wait for its broker; return whether it was started."""
    client = get_daemon_client()
    alive = is_alive()
    if not alive:
        end_orphans(client)
        client.start_daemon(number_workers=workers, timeout=DAEMON_TIMEOUT)
    await_broker()
    return not alive


def await_broker(seconds: float = BROKER_TIMEOUT) -> None:
    """Wait until the broker that the daemon starts can be spoken to; any other one was there before.

    Raises
    ------
    click.ClickException
        If it cannot be within this time.
    """
    broker = get_manager().get_broker()
    deadline = time.monotonic() + seconds
    while isinstance(broker, BrokerFactory('core.zeromq')):
        try:
            broker.get_communicator()
        except ConnectionError as error:
            if time.monotonic() > deadline:
                logs = Path(get_daemon_client().daemon_log_file).parent
                raise click.ClickException(f'{error}; its log is in {logs}') from error
        else:
            return


def stop_daemon() -> int:
    """Stop the daemon if it is running; return the number of its workers. Processes stay where they are."""
    client, workers = get_daemon_client(), 1
    if is_alive():
        with suppress(AiidaException):
            workers = client.get_numprocesses(timeout=DAEMON_TIMEOUT)['numprocesses']
        client.stop_daemon(timeout=DAEMON_TIMEOUT)
    end_orphans(client)
    return workers


def await_pickup(process: orm.ProcessNode, seconds: float = 60.0) -> None:
    """Wait until the daemon has taken a submitted process up.

    AiiDA drops the task of a sender that ends before the broker, which may still be starting, has answered; the
    process would stay "created" for ever.
    """
    deadline = time.monotonic() + seconds
    while orm.load_node(process.pk).process_state is ProcessState.CREATED:
        if time.monotonic() > deadline:
            click.echo(
                f'the daemon has not taken it up within {seconds:.0f} s: its slots may be full '
                '("verdi daemon status"); if it stays so: verdi process repair',
                err=True,
            )
            return
        time.sleep(0.2)


def play_paused(campaign: orm.WorkChainNode) -> None:
    """Let go on what the engine paused in a campaign, such as a job whose computer did not answer for a while."""
    paused = [node for node in [campaign, *campaign.called_descendants] if node.paused and not node.is_terminated]
    if paused:
        click.echo(f'{len(paused)} paused processes go on')
        play_processes(paused, timeout=DAEMON_TIMEOUT)


def is_alive() -> bool:
    """Whether the daemon lives; AiiDA only looks for its PID file, which a killed daemon leaves behind."""
    client = get_daemon_client()
    pid = client.get_daemon_pid()
    if pid is None:
        return False
    try:
        alive = any(name in psutil.Process(pid).cmdline() for name in ('start-circus', 'circusd'))
    except psutil.Error:
        alive = False
    if not alive:
        Path(client.circus_pid_file).unlink(missing_ok=True)
        # A worker that starts before the new broker would connect to the sockets of the dead one, for ever.
        for name in ('broker.sockets', 'broker.pid', 'broker.status'):
            Path(client._zmq_broker_service_dir, name).unlink(missing_ok=True)
    return alive


def ailment() -> str | None:
    """What keeps the daemon from working on processes; None if nothing does."""
    if not is_alive():
        return 'the daemon is not running'
    broker = get_manager().get_broker()
    if not isinstance(broker, BrokerFactory('core.zeromq')):
        return None
    if not broker.check_service_reachable():
        return 'the broker is not running'
    # The daemon starts a dead broker anew, but workers neither go over to it, nor come back when they stood still.
    status: dict[str, Any] = dict(broker.probe_service_status())
    try:
        age = time.time() - psutil.Process(status['pid']).create_time()
    except (KeyError, psutil.Error):
        return None
    return 'no worker listens to the broker' if not status['task_subscribers'] and age > BROKER_TIMEOUT else None


def lost(processes: Sequence[orm.ProcessNode]) -> str | None:
    """Name a process, of these and those that they called, that no worker has; None if there is none."""
    from aiida_traincraft.provenance.campaign import is_overdue, unfinished

    controller = get_manager().get_process_controller()
    begun = {pk: one for node in processes for pk, one in unfinished(node).items() if one.state != 'created'}
    asked = {pk: controller.get_status(pk) for pk in begun}
    for pk, answer in asked.items():
        try:
            answer.result(RPC_TIMEOUT)
        except (TimeoutError, concurrent.futures.TimeoutError):
            # It is there, in a step that takes long.
            continue
        except Exception as error:
            if not orm.load_node(pk).is_terminated:
                return f'no worker has {begun[pk].name}<{pk}> ({error})'
    overdue = [f'{one.name}<{pk}>' for node in processes for pk, one in unfinished(node).items() if is_overdue(one)]
    return f'{overdue[0]} was submitted and has not begun' if overdue else None


def repair(profile: str) -> None:
    """Hand processes that lost their task when a daemon was killed to the daemon again; the daemon must be stopped."""
    verdi = Path(sys.executable).with_name('verdi')
    command: list[str | Path] = [verdi, '-p', profile, 'process', 'repair', '--force']
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise click.ClickException(f'"verdi process repair" failed:\n{done.stdout}{done.stderr}')


def end_orphans(client: DaemonClient) -> None:
    """End what a killed daemon left behind: circus' statistics process runs on for ever otherwise."""
    for process in psutil.process_iter(['cmdline']):
        command = process.info['cmdline'] or []
        if client.circus_log_file in command and any('circus import stats' in part for part in command):
            process.terminate()
