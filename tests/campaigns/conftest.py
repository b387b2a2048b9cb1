"""A profile of its own on disk, with a daemon, driven through the command line as a user would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROFILE = 'campaigns'
BIN = Path(sys.executable).parent
# Seconds that a step may take: machines are shared.
PATIENCE = 2000.0
POLL = """
import json, time
from aiida.manage import get_manager
code, deadline = compile({script!r}, 'condition', 'exec'), time.monotonic() + {patience}
while True:
    found = dict()
    exec(code, found)
    if found['holds'] or time.monotonic() > deadline:
        break
    del found
    # What was read before is not read again from memory.
    get_manager().get_profile_storage().get_session().rollback()
    time.sleep(0.5)
print(json.dumps([bool(found['holds']), str(found['state'])]))
"""


class Site:
    """A folder with an AiiDA profile; commands run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {'AIIDA_PATH': str(folder), 'OMP_NUM_THREADS': '1'}

    def traincraft(self, *arguments: str, check: bool = True, timeout: float = PATIENCE) -> subprocess.CompletedProcess:
        return self._call(BIN / 'traincraft', '-p', PROFILE, *arguments, check=check, timeout=timeout)

    def python(self, script: str) -> object:
        """Run a script with the profile loaded; returns the JSON that it prints last."""
        code = f'from aiida import load_profile\nload_profile({PROFILE!r})\n{script}'
        done = self._call(BIN / 'python', '-c', code, check=True, timeout=PATIENCE)
        return json.loads(done.stdout.splitlines()[-1])

    def summary(self, name: str) -> dict:
        return json.loads((self.folder / 'runs' / name / 'summary.json').read_text())

    def start_daemon(self, workers: int) -> None:
        # Unlike ours, AiiDA's command looks for itself on the PATH.
        path = f'PATH={BIN}{os.pathsep}{os.environ["PATH"]}'
        self._call('env', path, BIN / 'verdi', '-p', PROFILE, 'daemon', 'start', workers, check=True, timeout=PATIENCE)

    def kill_everything(self) -> int:
        """SIGKILL daemon, broker and workers of this profile; jobs that run on the computer are left alone."""
        victims = [pid for pid, command in self._processes() if 'verdi' in command or 'circus' in command]
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        return len(victims)

    def _processes(self) -> Iterator[tuple[int, str]]:
        marker = f'AIIDA_PATH={self.folder}/.aiida'.encode()
        for entry in Path('/proc').glob('[0-9]*'):
            try:
                if marker in (entry / 'environ').read_bytes().split(b'\0'):
                    yield int(entry.name), (entry / 'cmdline').read_bytes().replace(b'\0', b' ').decode()
            except OSError:
                continue

    def wait_for(self, condition: str) -> None:
        """Poll a campaign's progress (``p``) until a Python condition on it holds."""
        self.wait_until(
            'from aiida_traincraft.provenance.campaign import progress\n'
            'from aiida_traincraft.provenance.queries import load_campaign_node\n'
            f'state = progress(load_campaign_node())\np = state\nholds = {condition}'
        )

    def wait_until(self, script: str) -> None:
        """Repeat a script, in one interpreter, until the ``holds`` that it sets is true; its ``state`` is told."""
        holds, state = self.python(POLL.format(script=script, patience=PATIENCE))
        assert holds, f'{script} did not come true in {PATIENCE} s; last: {state}'

    def _call(self, *command: object, check: bool, timeout: float) -> subprocess.CompletedProcess:
        done = subprocess.run(
            [str(part) for part in command],
            check=False,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and done.returncode != 0:
            raise AssertionError(f'{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}')
        return done


@pytest.fixture(scope='module')
def make_site(tmp_path_factory):
    """Make sites; what still runs of them is killed at the end."""
    sites = []

    def make(name: str, wal: bool = True) -> Site:
        site = Site(tmp_path_factory.mktemp(name))
        site.traincraft('setup', '--create', *(['--wal'] if wal else []))
        sites.append(site)
        return site

    yield make
    for site in sites:
        # "verdi daemon stop" waits for a minute where none runs any more.
        site.kill_everything()
