from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.long
def test_imports_killed_20_times_lose_and_halve_nothing(tmp_path):
    environment = {**os.environ, 'AIIDA_PATH': str(tmp_path), 'OMP_NUM_THREADS': '1'}
    verdi = Path(sys.executable).parent / 'verdi'
    for name in ('kill', 'other'):
        setup = [verdi, 'profile', 'setup', 'core.sqlite_dos', '-n', '--profile-name', name, '--email', 'a@b.c']
        subprocess.run([*setup, '--no-use-rabbitmq'], check=True, env=environment, capture_output=True)
    script = Path(__file__).with_name('killed_imports.py')
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', script, tmp_path, '20'],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        timeout=3000,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '20 kills' in done.stdout
    assert ' 0 of them while storing' not in done.stdout
