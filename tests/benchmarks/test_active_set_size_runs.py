"""The benchmark of the most informative structures, small: it must run; what it measures is not judged here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / 'benchmarks'


@pytest.mark.long
def test_the_benchmark_on_a_small_pool(tmp_path):
    pytest.importorskip('pyace')
    command = [sys.executable, FOLDER / 'active_set_size.py', '--frames', '40', '--test-frames', '10']
    command += ['--sizes', '10', '--seeds', '1', '--results', tmp_path]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split(' | ') for line in (tmp_path / 'active_set_size.md').read_text().splitlines() if '|' in line]
    methods = [(row[0].strip('| '), row[1], row[2]) for row in lines[2:]]
    small = [(name, '10', method) for name in ('Cu', 'CuAu') for method in ('greedy', 'maxvol', 'random')]
    assert methods == [*small[:3], ('Cu', '40', 'all'), *small[3:], ('CuAu', '40', 'all')]
