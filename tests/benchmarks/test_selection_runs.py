"""The benchmark of the funnel, small: it must run; what it measures is not judged here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / 'benchmarks'


def test_the_funnel_on_a_small_pool(tmp_path):
    command = [
        sys.executable,
        FOLDER / 'selection.py',
        '--sizes',
        '200',
        '400',
        '--budget',
        '20',
        '--results',
        tmp_path,
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split(' | ') for line in (tmp_path / 'selection.md').read_text().splitlines() if line.startswith('|')]
    assert [(row[0].strip('| '), row[-1].strip('| ')) for row in rows[2:]] == [('200', '20'), ('400', '20')]
