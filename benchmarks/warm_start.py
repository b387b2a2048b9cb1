"""Nonlinear ACE by pacemaker: the start from a linear fit against pacemaker's own start.

Both starts run the task ``pace_train`` on the same frames with the same functions and seed, in turn; the cold one goes
on for more iterations, so that one sees when it comes to where the warm one is. Run it in pacemaker's environment:
``PYTHONPATH=src .venv-pace/bin/python benchmarks/warm_start.py``.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import record
from copper import copper_frames, isolated_energy

from aiida_traincraft.science.structure import write_extxyz
from aiida_traincraft.science.worker.tasks import pace_train

# One line per iteration; at the first and every display_step iterations a block in its place.
STAMP = re.compile(
    r'^(?P<time>\S+ \S+) I - (?:Iteration\s+#(?P<line>\d+)\s|\n-+(?:INIT|FIT) STATS-+\nIteration:\s+#(?P<block>\d+)\s)',
    re.MULTILINE,
)
CLOCK = '%Y-%m-%d %H:%M:%S,%f'
SHOWN = (0, 5, 10, 20, 40, 60, 100, 200, 300)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--frames', type=int, default=60)
    parser.add_argument('--test-frames', type=int, default=40)
    parser.add_argument('--functions', type=int, default=50)
    parser.add_argument('--iterations', type=int, default=60, help='of the warm start')
    parser.add_argument('--cold-iterations', type=int, default=300)
    parser.add_argument('--seeds', type=int, nargs='+', default=[1, 2, 3])
    options = parser.parse_args()
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    limits = {'cold': options.cold_iterations, 'warm': options.iterations}
    runs = []
    for number, seed in enumerate(options.seeds):
        pair = {}
        # The order alternates, so that a drift of the machine favours neither.
        for start in ('cold', 'warm')[:: 1 if number % 2 == 0 else -1]:
            print(f'seed {seed}, {start} start, {limits[start]} iterations ...', flush=True)
            pair[start] = fit(start, limits[start], seed, options)
            last = pair[start]['train'][-1]
            print(
                f'  {pair[start]["seconds"]:.0f} s, iteration {last["iteration"]}: loss {last["loss"]:.2e}', flush=True
            )
        runs.append(pair)
        # After every pair: a run that is stopped leaves a record of those done.
        write(runs, options)


def fit(start: str, iterations: int, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Run one fit; its errors by iteration, and ``times`` (s since the task began) by iteration."""
    training = {
        'type': 'pace',
        'functions': options.functions,
        'cutoff': 5.5,
        'maxiter': iterations,
        'display_step': 5,
        'batch_size': 20,
        'warm_start': 'linear' if start == 'warm' else 'none',
    }
    parameters = {'training': training, 'e0': {'Cu': isolated_energy()}, 'seed': seed, 'max_seconds': None}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        write_extxyz(folder / 'dataset.extxyz', copper_frames(options.frames, seed, small=True))
        write_extxyz(folder / 'test.extxyz', copper_frames(options.test_frames, 1000 + seed, small=True))
        begin, clock = datetime.now().astimezone(), time.monotonic()
        result = pace_train.run(parameters | {'start': start}, folder)
        seconds = time.monotonic() - clock
        log = (folder / 'log.txt').read_text()
    stamps = {
        int(found['line'] or found['block']): datetime.strptime(found['time'], CLOCK).astimezone()
        for found in STAMP.finditer(log)
    }
    times = {iteration: (stamp - begin).total_seconds() for iteration, stamp in stamps.items()}
    return {'seconds': seconds, 'times': times, **result['history']}


def at(rows: Sequence[dict[str, Any]], iteration: int) -> dict[str, Any] | None:
    """The row of an iteration; None if the fit ended before."""
    return next((row for row in rows if row['iteration'] == iteration), None)


def reach(run: dict[str, Any], loss: float) -> int | None:
    """First iteration whose loss is not above the one given."""
    return next(
        (row['iteration'] for row in run['train'] if row['loss'] <= loss and row['iteration'] in run['times']), None
    )


def write(runs: list[dict[str, Any]], options: argparse.Namespace) -> None:
    reached = []
    for seed, pair in zip(options.seeds, runs, strict=False):
        cold, warm = pair['cold'], pair['warm']
        last = max(set(warm['times']) & {row['iteration'] for row in warm['train']})
        for target in sorted({0, 20, last}):
            if (row := at(warm['train'], target)) is None:
                continue
            hit = reach(cold, row['loss'])
            end = cold['train'][-1]
            ratio = f'> {cold["seconds"] / warm["times"][target]:.1f}'
            what = f'not in {end["iteration"]} (loss {end["loss"] / row["loss"]:.1f} times higher)'
            if hit is not None:
                ratio, what = f'{cold["times"][hit] / warm["times"][target]:.1f}', str(hit)
            reached.append([seed, f'{row["loss"]:.2e}', target, what, ratio])
    equal = [line for iteration in SHOWN if (line := _compare(runs, iteration))]
    startup = [pair[start]['times'][0] / pair['warm']['seconds'] for pair in runs for start in ('cold', 'warm')]
    fits = [pair['warm']['times'][0] / pair['cold']['times'][0] for pair in runs]
    parts = [
        f'{options.frames} EMT copper frames (4 to 8 atoms), {options.test_frames} held out, {options.functions} '
        f'functions, two densities (fs_parameters 1, 1, 1, 0.5), BFGS, one thread; seeds '
        f'{", ".join(map(str, options.seeds[: len(runs)]))} (of frames and start), the two starts in turn.',
        'Seconds to the same loss, counted from the beginning of the task: with the linear fit, the imports and the '
        'compilation of the graph.',
        record.table(
            ['seed', 'loss of the warm start', 'at its iteration', 'iteration of the cold start', 'seconds cold/warm'],
            reached,
        ),
        f'Before iteration 0 the warm start takes {record.spread(fits)} times the seconds of the cold one; this is '
        f'{record.spread(startup)} of the whole task with {options.iterations} iterations.',
        'Errors at equal iterations (medians over the seeds; ratio: cold/warm, median of the pairs; RMSE of the test '
        'set in meV/atom and meV/Å; - where the warm start had ended):',
        record.table(
            [
                'iteration',
                'loss: cold',
                'warm',
                'ratio',
                'energy: cold',
                'warm',
                'ratio',
                'forces: cold',
                'warm',
                'ratio',
            ],
            equal,
        ),
    ]
    packages = ('python-ace', 'tensorpotential', 'tensorflow-cpu', 'numpy', 'ase')
    command = 'PYTHONPATH=src .venv-pace/bin/python benchmarks/warm_start.py'
    record.write('warm_start', 'pace_train: linear warm start against a cold start', command, parts, packages)


def _compare(runs: list[dict[str, Any]], iteration: int) -> list[object]:
    line: list[object] = [iteration]
    for curve, key, unit, form in (
        ('train', 'loss', 1.0, '.1e'),
        ('test', 'energy_rmse', 1e3, '.2f'),
        ('test', 'force_rmse', 1e3, '.1f'),
    ):
        cold, warm = ([at(pair[start][curve], iteration) for pair in runs] for start in ('cold', 'warm'))
        if not all(cold):
            return []
        line.append(format(unit * median(row[key] for row in cold), form))
        if not all(warm):
            line += ['-', '-']
            continue
        line.append(format(unit * median(row[key] for row in warm), form))
        line.append(f'{median(c[key] / w[key] for c, w in zip(cold, warm, strict=True)):.3g}')
    return line


if __name__ == '__main__':
    main()
