"""The AiiDA profile and its daemon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
from aiida.engine.daemon.client import DaemonClient, get_daemon_client
from aiida.manage.configuration import get_config, load_profile

# "verdi daemon stop" gives up after two seconds by default, too few on a busy machine.
DAEMON_TIMEOUT = 20


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
    return str(chosen)


def ensure_daemon(workers: int = 1) -> bool:
    """Start the daemon if it is not running; return whether it was started."""
    client = get_daemon_client()
    if client.is_daemon_running:
        return False
    end_orphans(client)
    client.start_daemon(number_workers=workers, timeout=DAEMON_TIMEOUT)
    return True


def repair(profile: str) -> None:
    """Hand processes that lost their task when a daemon was killed to the daemon again; the daemon must be stopped."""
    verdi = Path(sys.executable).with_name('verdi')
    done = subprocess.run([verdi, '-p', profile, 'process', 'repair', '--force'], capture_output=True, text=True)
    if done.returncode != 0:
        raise click.ClickException(f'"verdi process repair" failed:\n{done.stdout}{done.stderr}')


def end_orphans(client: DaemonClient) -> None:
    """End what a killed daemon left behind: circus' statistics process runs on for ever otherwise."""
    marker = str(Path(client.circus_log_file).parent.parent)
    for entry in Path('/proc').glob('[0-9]*'):
        try:
            command = (entry / 'cmdline').read_bytes().replace(b'\0', b' ').decode(errors='replace')
        except OSError:
            continue
        if 'circus' in command and 'stats' in command and _belongs(entry, marker):
            os.kill(int(entry.name), signal.SIGTERM)


def _belongs(entry: Path, marker: str) -> bool:
    try:
        environment = (entry / 'environ').read_bytes().decode(errors='replace')
    except OSError:
        return False
    return any(line.startswith('AIIDA_PATH=') and line[11:] in marker for line in environment.split('\0') if line[11:])
