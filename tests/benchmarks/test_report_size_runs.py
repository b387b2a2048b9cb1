"""The benchmark of the report, small: it must run; what it measures is not judged here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / 'benchmarks'


@pytest.mark.long
def test_the_report_of_a_small_campaign(tmp_path):
    command = [sys.executable, FOLDER / 'report_size.py', '--labels', '60', '--cycles', '1', '--repeat', '1']
    done = subprocess.run([*command, '--results', tmp_path], check=False, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (tmp_path / 'report_size.md').read_text()
    assert 'A campaign of 1 cycle(s)' in text
    assert '| megabytes of the page | 0.' in text
