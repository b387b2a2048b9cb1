"""Whether an interpreter has what a role needs."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from aiida import orm

from aiida_traincraft.science.errors import ConfigIssue
from aiida_traincraft.science.optional import ROLES, pip_install

# Role, packages that its interpreter must import, and how to get them.
REQUIREMENTS = (
    ('ase', ('ase', 'numpy', 'pydantic'), pip_install(*ROLES['ase'])),
    ('pace', ('ase', 'numpy', 'pydantic', 'pyace'), f'{pip_install(*ROLES["pace"])} (academic licence)'),
    (
        'pacemaker',
        ('ase', 'numpy', 'pydantic', 'pyace', 'tensorpotential', 'tensorflow'),
        'an environment of its own with python-ace, tensorpotential and tensorflow-cpu (see docs/pacemaker.md; from a '
        'clone: "make setup-pace"), then "traincraft setup --python .venv-pace/bin/python"',
    ),
    (
        'mace',
        ('ase', 'numpy', 'pydantic', 'torch', 'mace'),
        'an environment with mace-torch (see docs/mace.md; from a clone: "make setup-mace"), then '
        '"traincraft setup --python .venv-mace/bin/python"',
    ),
)
# Roles that share a code that "traincraft setup" makes.
SAME_CODE = {'mace_train': 'mace'}

_PROBE = """
import importlib.util, sys
print('missing:', *(name for name in sys.argv[1:] if importlib.util.find_spec(name) is None))
"""


def missing_packages(python: Path, packages: Sequence[str]) -> list[str]:
    """Packages that a local interpreter cannot import (``['it does not run']`` if it does not start)."""
    try:
        command: list[str | Path] = [python, '-c', _PROBE, *packages]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired):
        return ['it does not run']
    if done.returncode != 0:
        return ['it does not run']
    return done.stdout.strip().splitlines()[-1].split()[1:]


def check_interpreters(codes: Mapping[str, orm.AbstractCode]) -> list[ConfigIssue]:
    """Check the interpreters on this machine before anything is submitted; remote ones answer with their first job."""
    issues = []
    needs = {role: (packages, remedy) for role, packages, remedy in REQUIREMENTS}
    for role, code in codes.items():
        kind = SAME_CODE.get(role, role)
        if kind not in needs or not isinstance(code, orm.InstalledCode) or code.computer.transport_type != 'core.local':
            continue
        packages, remedy = needs[kind]
        missing = missing_packages(Path(str(code.filepath_executable)), packages)
        if missing:
            issues.append(ConfigIssue(f'codes.{role}.code', f'{code.full_label} lacks {", ".join(missing)}: {remedy}'))
    return issues
