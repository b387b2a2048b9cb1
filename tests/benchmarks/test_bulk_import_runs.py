"""The benchmark of the import, small: it must run on both databases; what it measures is not judged here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / 'benchmarks'


@pytest.mark.long
def test_bulk_import_on_sqlite_and_postgresql(tmp_path):
    command = [sys.executable, FOLDER / 'bulk_import.py', '--frames', '60', '--slow-frames', '3', '--results', tmp_path]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=3000, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    table = (tmp_path / 'bulk_import.md').read_text()
    assert '| core.sqlite_dos |' in table
    sys.path.insert(0, str(FOLDER))
    import postgresql

    if postgresql.programs() is None:
        pytest.skip('PostgreSQL was left out: apt install postgresql')
    assert '| core.psql_dos |' in table
