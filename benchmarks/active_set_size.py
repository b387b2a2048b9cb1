"""Error of a linear ACE against the number of structures trained on: the most informative ones, or some by chance.

The pool is what an import is like: most frames are of a few trajectories, one much like the next, and mostly cold; the
rest are rattled and strained cells. It is tested on frames of other trajectories and cells of the same kinds, and
elsewhere: hotter, more strained, of other compositions, and a surface.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

os.environ.setdefault('OMP_NUM_THREADS', '1')

import numpy as np
import record
from ase import Atoms
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from linear_fit import alone, dynamics, errors, labelled, rattled

from aiida_traincraft.science.config.training.pace_linear import PaceLinearTraining
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.training.ace.linear import fit_linear
from aiida_traincraft.science.training.ace.reduction import log_volume, reduce_structures

SIZES = (20, 50, 100, 200, 500)
METHODS = ('greedy', 'maxvol', 'random')
SYSTEMS = {'Cu': (0.0,), 'CuAu': (0.25, 0.5, 0.75)}
"""Shares of gold."""
TEMPERATURES = (300.0, 300.0, 300.0, 600.0, 900.0)
"""Of the trajectories (K)."""
CONFIG = {'cutoff': 5.0, 'max_functions': 150, 'radial_basis': 'SBessel', 'stress_weight': 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seeds', type=int, nargs='+', default=[1, 2, 3])
    parser.add_argument('--systems', nargs='+', default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument('--sizes', type=int, nargs='+', default=list(SIZES), help='structures trained on')
    parser.add_argument('--frames', type=int, default=2000, help='of the pool')
    parser.add_argument('--test-frames', type=int, default=200, help='of the kinds of the pool')
    parser.add_argument('--results', type=Path, default=record.RESULTS, help='folder of the record')
    options = parser.parse_args()
    rows = [
        [name, size, method, *cells]
        for name in options.systems
        for size, method, cells in compare(name, options.frames, options.test_frames, options.sizes, options.seeds)
    ]
    parts = [
        f'Pools of {options.frames} frames of 8 to 16 atoms, labels of EMT, up to {CONFIG["max_functions"]} functions '
        f'per element, seeds {", ".join(map(str, options.seeds))} (of frames and draws): median (smallest-largest) of '
        'root mean square errors, on other frames of the same kinds and elsewhere (hotter, more strained, other '
        'compositions, a surface). "Log-volume" is that of the information matrix, less that of the structures drawn '
        'by chance. Seconds are CPU of the choice, projections included.',
        record.table(
            [
                'system',
                'N',
                'choice',
                'atoms',
                'energy, meV/atom',
                'forces, meV/Å',
                'forces elsewhere',
                'log-volume',
                'seconds',
            ],
            rows,
        ),
    ]
    seeds = ' '.join(map(str, options.seeds))
    command = f'python benchmarks/active_set_size.py --frames {options.frames} --seeds {seeds}'
    packages = ['aiida-traincraft', 'python-ace', 'numpy', 'scipy', 'ase']
    record.write('active_set_size', 'The most informative structures', command, parts, packages, options.results)


def compare(
    name: str, frames: int, test_frames: int, sizes: Sequence[int], seeds: Sequence[int]
) -> list[tuple[int, str, list[object]]]:
    """Rows of the table for one system: size, way of choosing, and the other cells."""
    found: dict[tuple[int, str], list[tuple[float, ...]]] = {}
    config = PaceLinearTraining.model_validate(CONFIG)
    for seed in seeds:
        pool, alike, elsewhere, e0 = make(name, frames, test_frames, seed)
        for size, method in [*((size, method) for size in sizes for method in METHODS), (frames, 'all')]:
            begin = time.process_time()
            picked, volume = choose(pool, config, size, method, seed)
            seconds = time.process_time() - begin
            fit = fit_linear([pool[i] for i in sorted(picked)], config, e0, seed, report=lambda line: None)
            energy, forces = errors(fit, alike, e0)
            atoms = sum(len(pool[index]) for index in picked)
            values = (energy, forces, errors(fit, elsewhere, e0)[1], volume, seconds, atoms)
            found.setdefault((size, method), []).append(values)
            told = ' '.join(f'{value:.2f}' for value in values)
            print(f'{name} seed {seed} {size} {method}: {told}', flush=True)
    rows = []
    for (size, method), values in found.items():
        columns = [record.spread([value[index] for value in values], 2 - (index > 0)) for index in (0, 1, 2)]
        volume = '-'
        if method in ('greedy', 'maxvol'):
            gains = [one[3] - other[3] for one, other in zip(values, found[size, 'random'], strict=True)]
            volume = record.spread(gains, 0)
        seconds = f'{median(value[4] for value in values):.1f}' if method in ('greedy', 'maxvol') else '-'
        atoms = f'{median(value[5] for value in values):.0f}'
        rows.append((size, method, [atoms, *columns, volume, seconds]))
    return rows


def choose(
    pool: Sequence[Structure], config: PaceLinearTraining, size: int, method: str, seed: int
) -> tuple[list[int], float]:
    """Indices of the structures chosen, and the logarithm of the determinant of their information matrix."""
    if method == 'all':
        return list(range(len(pool))), 0.0
    if method != 'random':
        reduction = reduce_structures(pool, config, size, method)
        return reduction.picked, reduction.log_volume
    picked = np.random.default_rng(seed).choice(len(pool), size, replace=False).tolist()
    return picked, log_volume(pool, config, picked)


def make(
    name: str, frames: int, test_frames: int, seed: int
) -> tuple[list[Structure], list[Structure], list[Structure], dict[str, float]]:
    """The pool, test frames of the same kinds, test frames elsewhere, and E0 (eV)."""
    rng, shares = np.random.default_rng(seed), SYSTEMS[name]
    pool = labelled(mixture(shares, frames, rng, every=10), EMT)
    alike = labelled(mixture(shares, test_frames, rng, every=40), EMT)
    others = [share + 0.125 if share else 0.0 for share in shares]
    far = [rattled(cell(rng.choice(others), (2, 2, 1), rng), 0.2, 0.06, rng) for _ in range(20)]
    for share in others:
        far += dynamics(cell(share, (2, 2, 1), rng), 1300.0, 20 // len(others), rng, EMT)
    slab = fcc111('Cu', (2, 2, 3), vacuum=6.0, periodic=True)
    far += dynamics(slab, 700.0, 20, rng, EMT)
    elements = ('Cu', 'Au') if any(shares) else ('Cu',)
    return pool, alike, labelled(far, EMT), alone(*elements, teacher=EMT)


def mixture(shares: Sequence[float], count: int, rng: np.random.Generator, every: int) -> list[Atoms]:
    """Three quarters of the frames from trajectories, one for each temperature; the rest rattled and strained."""
    length, found = round(0.75 * count / len(TEMPERATURES)), []
    for temperature in TEMPERATURES:
        found += dynamics(cell(rng.choice(shares), (2, 2, 1), rng), temperature, length, rng, EMT, every=every)
    while len(found) < count:
        small = cell(rng.choice(shares), (2, 1, 1), rng)
        found.append(rattled(small, rng.uniform(0.02, 0.15), rng.uniform(0.01, 0.04), rng))
    return found


def cell(share: float, repeat: tuple[int, int, int], rng: np.random.Generator) -> Atoms:
    """A cell of face-centred copper, a share of it gold."""
    atoms = bulk('Cu', cubic=True, a=3.6 + 0.45 * share).repeat(repeat)
    numbers = atoms.numbers.copy()
    numbers[rng.permutation(len(atoms))[: round(share * len(atoms))]] = 79
    atoms.numbers = numbers
    return atoms


if __name__ == '__main__':
    main()
