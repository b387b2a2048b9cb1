"""Whether an interpreter has what a role needs."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from aiida import orm

_PROBE = """
import importlib.util, sys
print('missing:', *(name for name in sys.argv[1:] if importlib.util.find_spec(name) is None))
"""


def missing_packages(python: Path, packages: Sequence[str]) -> list[str]:
    """Packages that a local interpreter cannot import (``['it does not run']`` if it does not start)."""
    try:
        done = subprocess.run([python, '-c', _PROBE, *packages], capture_output=True, text=True, timeout=120)
    except OSError:
        return ['it does not run']
    if done.returncode != 0:
        return ['it does not run']
    return done.stdout.strip().splitlines()[-1].split()[1:]


def check_codes(codes: Mapping[str, orm.AbstractCode]) -> None:
    """Check the interpreters on this machine before anything is submitted; remote ones answer with their first job.

    Raises
    ------
    ValueError
        If a package is missing; says how to get it.
    """
    from aiida_traincraft.cli.setup import ROLES

    problems = []
    for role, packages, remedy in ROLES:
        code = codes.get(role)
        if code is None or not isinstance(code, orm.InstalledCode) or code.computer.transport_type != 'core.local':
            continue
        missing = missing_packages(Path(str(code.filepath_executable)), packages)
        if missing:
            problems.append(f'code {code.full_label} lacks {", ".join(missing)}: {remedy}')
    if problems:
        raise ValueError('\n'.join(problems))
