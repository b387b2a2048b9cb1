"""The funnel on a large pool: time and memory from candidates with descriptors to the structures worth a label.

The pool is that of an exploration: cells of eight copper atoms of several systems and temperatures, with energy,
forces, uncertainty and a descriptor of 200 numbers, and a training set of 1000. Its geometries and numbers are random:
neither cost nor memory depends on what they mean. Almost all candidates reach the last stage, which is the worst case.
Each size runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')

import numpy as np
import record
from ase import Atoms

from aiida_traincraft.science.config.selection import SelectionConfig
from aiida_traincraft.science.selection import FunnelContext, apply_funnel
from aiida_traincraft.science.structure import Structure

WIDTH = 200
N_ATOMS = 8
N_TRAINING = 1000
STAGES = [
    {'type': 'dedup'},
    {'type': 'force_cap', 'max_force': 50.0},
    {'type': 'energy_window', 'above': 2.0, 'per': 'system'},
    {'type': 'random', 'fraction': 0.2},
    {'type': 'uncertainty', 'lo': 0.1},
    {'type': 'stratified', 'fraction': 0.2, 'temperature_windows': [500.0, 1000.0]},
    {'type': 'diversity', 'fraction': 0.6, 'descriptor': 'model'},
    {'type': 'budget'},
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sizes', type=int, nargs='+', default=[10_000, 100_000], help='candidates')
    parser.add_argument('--budget', type=int, default=100, help='structures to select')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--results', type=Path, default=record.RESULTS, help='folder of the record')
    parser.add_argument('--one', type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.budget, options.seed)))
        return
    results = [in_a_process(size, options) for size in options.sizes]
    stages = [row['stage'] for row in results[0]['report']]
    parts = [
        f'Candidates of {N_ATOMS} atoms with energy, forces, uncertainty and a descriptor of {WIDTH} numbers '
        f'(float64); training set of {N_TRAINING}; budget {options.budget}; one thread. Time is from frames in memory '
        'to the selected frames. "Peak above" is the largest resident memory during the funnel less that before it, '
        'which holds the frames; the largest part is the matrix of all descriptors, which "diversity" works on.',
        record.table(
            ['candidates', 'wall, s', 'CPU, s', 'frames, MB', 'descriptors, MB', 'peak above, MB', 'selected'],
            [
                [
                    result['size'],
                    f'{result["wall"]:.1f}',
                    f'{result["cpu"]:.1f}',
                    f'{result["frames"]:.0f}',
                    f'{result["size"] * WIDTH * 8 / 1e6:.0f}',
                    f'{result["above"]:.0f}',
                    result['selected'],
                ]
                for result in results
            ],
        ),
        f'Candidates that entered each stage ({", ".join(f"`{stage}`" for stage in stages)}): '
        + '; '.join(', '.join(str(row['entered']) for row in result['report']) for result in results)
        + '.',
    ]
    command = f'python benchmarks/selection.py --sizes {" ".join(map(str, options.sizes))} --budget {options.budget}'
    record.write(
        'selection', 'The funnel on a large pool', command, parts, ['aiida-traincraft', 'numpy', 'ase'], options.results
    )


def in_a_process(size: int, options: argparse.Namespace) -> dict[str, object]:
    """Measure one size in a fresh process, whose memory holds nothing else."""
    command = [sys.executable, __file__, '--one', size, '--budget', options.budget, '--seed', options.seed]
    done = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
    result = json.loads(done.stdout.splitlines()[-1])
    print(f'{size} candidates: {result["wall"]:.1f} s, {result["above"]:.0f} MB above the frames', flush=True)
    return result


def measure(size: int, budget: int, seed: int) -> dict[str, object]:
    """Time (s) and memory (MB) of one funnel."""
    rng = np.random.default_rng(seed)
    config = SelectionConfig.model_validate({'budget': budget, 'stages': STAGES})
    training = rng.normal(size=(N_TRAINING, WIDTH))
    # Imports, and what numpy sets up once.
    apply_funnel(pool(100, rng), config, FunnelContext(budget, training_descriptors=training, seed=seed))
    empty = resident()
    frames = pool(size, rng)
    before = resident()
    peak_before = peak()
    wall, cpu = time.perf_counter(), time.process_time()
    result = apply_funnel(frames, config, FunnelContext(budget, training_descriptors=training, seed=seed))
    return {
        'size': size,
        'wall': time.perf_counter() - wall,
        'cpu': time.process_time() - cpu,
        'frames': before - empty,
        'above': max(peak(), peak_before) - before,
        'selected': len(result.selected),
        'report': result.report,
    }


def pool(size: int, rng: np.random.Generator) -> list[Structure]:
    """Random candidates of four systems."""
    frames = []
    for number in range(size):
        atoms = Atoms(f'Cu{N_ATOMS}', 4.0 * rng.random((N_ATOMS, 3)), cell=[4.0, 4.0, 7.0], pbc=True)
        properties = {
            'energy': N_ATOMS * rng.random(),
            'forces': rng.normal(scale=2.0, size=(N_ATOMS, 3)),
            'uncertainty': rng.random(N_ATOMS),
            'descriptor': rng.normal(size=WIDTH),
        }
        facts = {'system': f'system{number % 4}', 'step': number, 'temperature': 300.0 + 1000.0 * rng.random()}
        frames.append(Structure(atoms, properties, facts))
    return frames


def resident() -> float:
    """Resident memory of this process now (MB)."""
    return int(Path('/proc/self/statm').read_text().split()[1]) * resource.getpagesize() / 1e6


def peak() -> float:
    """Largest resident memory of this process so far (MB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == '__main__':
    main()
