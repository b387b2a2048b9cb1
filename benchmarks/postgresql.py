"""A PostgreSQL server of its own in a temporary folder, from the programs of Debian's package."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEBIAN = Path('/usr/lib/postgresql')


def programs() -> Path | None:
    """Folder with ``initdb`` and ``pg_ctl``; None if PostgreSQL is not installed (``apt install postgresql``)."""
    if found := shutil.which('initdb'):
        return Path(found).parent
    versions = sorted(DEBIAN.glob('*/bin/initdb'))
    return versions[-1].parent if versions else None


@contextmanager
def server() -> Iterator[int]:
    """Run a server on this machine with the superuser ``aiida`` (password ``aiida``); gives its port."""
    folder = programs()
    if folder is None:
        raise FileNotFoundError('no initdb: apt install postgresql')
    # PostgreSQL refuses to run as root.
    user = 'postgres' if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory() as name:
        if user:
            shutil.chown(name, user)
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            port = probe.getsockname()[1]
        data, options = f'{name}/data', f'-p {port} -c listen_addresses=127.0.0.1 -k {name}'

        def call(program: str, *arguments: str) -> None:
            command = [str(folder / program), *arguments]
            subprocess.run(
                command, check=True, user=user, cwd=name, stdout=subprocess.DEVNULL, env={'PATH': os.defpath}
            )

        call('initdb', '-D', data, '-U', 'aiida', '--auth=trust', '--locale=C.UTF-8')
        call('pg_ctl', '-D', data, '-o', options, '-l', f'{name}/log', '-w', 'start')
        try:
            yield port
        finally:
            call('pg_ctl', '-D', data, '-m', 'immediate', 'stop')
