"""Where the wall time of a campaign goes: inside codes, or in what runs them.

A code runs from the moment the job script opens its standard error until the worker has written ``result.json``: the
interpreter's start, all imports and the task itself. Both times are those of files in the job's work folder, which
must still be on this machine; the worker's own clock (``seconds_in_codes`` of ``summary.json``) starts a little later.
Jobs run side by side, so the plain sum of their seconds is not the time in which a code ran: that is the union.

Without ``--run`` a finished campaign of an existing profile is read; with it, the demo is run in a profile of its own
in a temporary folder, as often as asked.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import record

RESOLUTION = 0.01
"""Seconds; intervals are joined on a grid of this width."""
ROOT = Path(__file__).parents[1]
TRAINCRAFT = Path(sys.executable).with_name('traincraft')
Interval = tuple[float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--run', type=int, default=0, metavar='TIMES', help='run the campaign afresh so often')
    parser.add_argument('--toml', type=Path, default=ROOT / 'examples' / 'cu_demo.toml', help='campaign to run')
    parser.add_argument('--aiida-path', type=Path, default=ROOT, help='AIIDA_PATH of the campaign to read')
    parser.add_argument('--profile', default='traincraft')
    parser.add_argument('--campaign', default='demo', help='name, PK or UUID of the campaign to read')
    options = parser.parse_args()
    if not options.run:
        os.environ['AIIDA_PATH'] = str(options.aiida_path)
        write([measure(options.profile, options.campaign, None)], 'python benchmarks/campaign_overhead.py')
        return
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    with tempfile.TemporaryDirectory() as name:
        os.environ['AIIDA_PATH'] = name
        subprocess.run([TRAINCRAFT, '-p', 'bench', 'setup', '--create', '--wal'], check=True, cwd=name)
        found = []
        for number in range(options.run):
            print(f'run {number + 1} of {options.run} ...', flush=True)
            begin = time.monotonic()
            command = [TRAINCRAFT, '-p', 'bench', 'run', str(options.toml.resolve()), '--stop-daemon']
            subprocess.run(command, check=True, cwd=name)
            # The newest campaign is the one just run.
            found.append(measure('bench', None, time.monotonic() - begin))
        write(found, f'python benchmarks/campaign_overhead.py --run {options.run}')


def measure(profile: str, campaign: str | None, command_seconds: float | None) -> dict[str, Any]:
    """Seconds of a finished campaign by what ran, on the clock of the machine."""
    from aiida import load_profile, orm

    from aiida_traincraft.provenance.campaign import jobs, summarise
    from aiida_traincraft.provenance.queries import load_campaign_node

    load_profile(profile, allow_switch=True)
    node = load_campaign_node(campaign)
    start, end = node.ctime.timestamp(), node.mtime.timestamp()
    calcjobs = jobs(node)
    codes = [code_interval(job) for job in calcjobs]
    lives = [(job.ctime.timestamp(), job.mtime.timestamp()) for job in calcjobs]
    functions = [
        (child.ctime.timestamp(), child.mtime.timestamp())
        for child in node.called_descendants
        if isinstance(child, orm.CalcFunctionNode)
    ]
    in_code, in_function, in_job = (covered(items, start, end) for items in (codes, functions, lives))
    # What of a job's life lies outside its own code.
    around = [(life[1] - life[0]) - (code[1] - code[0]) for life, code in zip(lives, codes, strict=True)]
    union = float(in_code.sum() * RESOLUTION)
    return {
        'command': command_seconds,
        'wall': end - start,
        'jobs': len(calcjobs),
        'union': union,
        'sum': sum(code[1] - code[0] for code in codes),
        'reported': summarise(node)['seconds_in_codes'],
        'functions': float((in_function & ~in_code).sum() * RESOLUTION),
        'job_steps': float((in_job & ~in_code & ~in_function).sum() * RESOLUTION),
        'rest': float((~in_job & ~in_code & ~in_function).sum() * RESOLUTION),
        'wall_per_job': (end - start - union) / len(calcjobs),
        'around': median(around),
    }


def code_interval(job: Any) -> Interval:
    """Start and end of a job's code, from its files."""
    folder = Path(job.outputs.remote_folder.get_remote_path())
    opened, done = folder / 'traincraft.err', folder / 'result.json'
    if not (opened.is_file() and done.is_file()):
        raise SystemExit(f'the work folder of job {job.pk} is gone: run the campaign afresh with --run')
    status = opened.stat()
    # Not every system knows when a file was made; one that stayed empty was last changed then.
    made = subprocess.run(['stat', '-c', '%.6W', str(opened)], capture_output=True, text=True, check=False).stdout
    if not made.strip() or float(made) == 0:
        if status.st_size:
            raise SystemExit(f'this file system keeps no time of making, which {opened} needs')
        made = str(status.st_mtime)
    return float(made), done.stat().st_mtime


def covered(intervals: Iterable[Interval], start: float, end: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Grid points from start to end that lie in any of the intervals."""
    mask = np.zeros(round((end - start) / RESOLUTION), bool)
    for first, last in intervals:
        mask[max(0, round((first - start) / RESOLUTION)) : max(0, round((last - start) / RESOLUTION))] = True
    return mask


def write(found: list[dict[str, Any]], command: str) -> None:
    def share(key: str, of: str = 'wall') -> str:
        return record.spread([row[key] / row[of] for row in found])

    rows = [
        ['wall time in which at least one code runs (union)', share('union')],
        ['... a provenance step (calcfunction) runs and no code', share('functions')],
        [
            '... a job is prepared, submitted, polled for, retrieved or parsed, and none of these',
            share('job_steps'),
        ],
        ['... only the WorkChains run', share('rest')],
        ['plain sum of the seconds in codes (jobs side by side count twice)', share('sum')],
        ["the workers' own clocks over that sum (the rest is interpreter start)", share('reported', 'sum')],
        ['wall time without any code, seconds per job', record.spread([row['wall_per_job'] for row in found])],
        ["a job's life outside its own code, seconds (median job)", record.spread([row['around'] for row in found])],
    ]
    if all(row['command'] for row in found):
        rows.append(['wall time of the whole command, daemon and results included', share('command')])
    parts = [
        f'{len(found)} campaign(s) of {found[0]["jobs"]} jobs, at most two side by side, one daemon worker, SQLite '
        '(WAL) and ZeroMQ. Shares of the wall time of the campaign, from its start to its end in the graph; median '
        '(smallest-largest). A code counts from the moment the job script starts its interpreter to its result file.',
        record.table(['what', 'share of wall time, or seconds'], rows),
    ]
    packages = ('aiida-core', 'python-ace', 'numpy', 'ase', 'aiida-traincraft')
    record.write('campaign_overhead', 'Where the wall time of the demo goes', command, parts, packages)


if __name__ == '__main__':
    main()
