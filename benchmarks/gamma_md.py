"""MD that watches the extrapolation grade γ, over plain MD with the same potential.

The plain run is what one has without this package: ASE's LangevinBAOAB with python-ace's own ``PyACECalculator`` on
``potential.yaml``. Against it: our sampler ``md`` (guards included) with γ every step, every ten steps and never, with
the ``.yace`` between; and ``PyACECalculator`` with its active set (γ every step) and on the ``.yace`` (no γ).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault('OMP_NUM_THREADS', '1')

import numpy as np
import record
from ase import Atoms, units
from ase.build import bulk
from ase.md.langevinbaoab import LangevinBAOAB
from copper import LATTICE_CONSTANT, copper_frames, isolated_energy

from aiida_traincraft.science.config.training.pace_linear import PaceLinearTraining
from aiida_traincraft.science.models.ace import PaceCalculator
from aiida_traincraft.science.models.pyace_import import import_pyace
from aiida_traincraft.science.sampling import Watch, sample
from aiida_traincraft.science.sampling.md import MdConfig
from aiida_traincraft.science.structure import Structure, write_frames
from aiida_traincraft.science.worker.tasks import pace_activeset, pace_linear

TEMPERATURE, TIMESTEP, FRICTION = 600.0, 2.0, 10.0
CELLS = {32: (2, 2, 2), 108: (3, 3, 3)}
BASELINE, FAST = 'PyACECalculator, .yaml', 'PyACECalculator, .yace (recursive)'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--steps', type=int, default=300)
    parser.add_argument('--repeat', type=int, default=9, help='rounds; each runs every variant once')
    parser.add_argument('--functions', type=int, default=200)
    parser.add_argument('--frames', type=int, default=80)
    parser.add_argument('--seed', type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        fit_potential(folder, options)
        sections = [measure(folder, atoms, options) for atoms in CELLS]
    parts = [
        f'Linear ACE with {options.functions} functions, cutoff 5.5 Å, fcc Cu at {TEMPERATURE:.0f} K, time step '
        f'{TIMESTEP:.0f} fs, {options.steps} steps after a warm-up, one thread. CPU seconds per step over those of the '
        f"plain run in the same round (python-ace's own calculator on the .yaml): median (smallest-largest) of "
        f'{options.repeat} rounds, in each of which every variant ran once, in an order drawn anew. Goal: at most 1.10 '
        'for γ every 10 steps.',
        *sections,
        'The sampler looks for atoms that come too close at every step with γ and at every tenth without; with γ every '
        'step that neighbour list, not γ, is most of what it costs over PyACECalculator with its active set.',
    ]
    packages = ('python-ace', 'numpy', 'ase', 'aiida-traincraft')
    record.write('gamma_md', 'MD with γ over plain MD', 'python benchmarks/gamma_md.py', parts, packages)


def fit_potential(folder: Path, options: argparse.Namespace) -> None:
    """Write ``potential.yaml``, ``.asi`` and ``.yace`` of a linear fit."""
    write_frames(folder / 'dataset.frames', copper_frames(options.frames, options.seed))
    training = PaceLinearTraining(functions=options.functions, max_functions=options.functions)
    e0 = {'Cu': isolated_energy()}
    pace_linear.run({'training': training.model_dump(), 'e0': e0, 'seed': options.seed}, folder)
    report = pace_activeset.run({'e0': e0, 'gamma_lo': 1.5, 'seed': options.seed}, folder)
    print(f'active set of {report["n_functions"]} functions, degenerate: {report["degenerate"]}', flush=True)


def measure(folder: Path, size: int, options: argparse.Namespace) -> str:
    """Time every variant in rounds; the table of ratios."""
    start = bulk('Cu', 'fcc', a=LATTICE_CONSTANT, cubic=True).repeat(CELLS[size])
    start.rattle(stdev=0.05, seed=options.seed)
    pyace = import_pyace()
    yaml, asi, yace = (folder / f'potential.{suffix}' for suffix in ('yaml', 'asi', 'yace'))
    graded = pyace.PyACECalculator(str(yaml))
    graded.set_active_set(str(asi))
    fast = pyace.PyACECalculator(str(yace), recursive_evaluator=True, recursive=True)
    ours = PaceCalculator(yaml, {'Cu': isolated_energy()}, active_set=asi, fast=yace)
    plain = pyace.PyACECalculator(str(yaml))
    variants: dict[str, Callable[[int], float]] = {
        BASELINE: partial(plain_md, start, plain, options.seed),
        FAST: partial(plain_md, start, fast, options.seed),
        'PyACECalculator, .yaml with active set: γ every step': partial(plain_md, start, graded, options.seed),
        'sampler, no γ': partial(sampler_md, start, ours, options.seed, 0),
        'sampler, γ every 10 steps': partial(sampler_md, start, ours, options.seed, 10),
        'sampler, γ every step': partial(sampler_md, start, ours, options.seed, 1),
    }
    rounds: list[dict[str, float]] = []
    rng = np.random.default_rng(options.seed)
    for number in range(options.repeat + 1):
        names = [list(variants)[index] for index in rng.permutation(len(variants))]
        seconds = {name: variants[name](options.steps) for name in names}
        if number == 0:
            continue
        rounds.append(seconds)
        print(f'{size} atoms, round {number}: {1e3 * seconds[BASELINE]:.2f} ms of CPU per plain step', flush=True)
    rows = [
        [name, *(record.spread([seconds[name] / seconds[base] for seconds in rounds]) for base in (BASELINE, FAST))]
        for name in variants
    ]
    return record.table([f'{size} atoms', 'over plain MD', 'over plain MD with the .yace'], rows)


def plain_md(start: Atoms, calculator: Any, seed: int, steps: int) -> float:
    """CPU seconds per step of ASE's own loop."""
    rng = np.random.default_rng(seed)
    atoms = start.copy()
    spread = np.sqrt(atoms.get_masses() * units.kB * TEMPERATURE)
    atoms.set_momenta(rng.normal(size=atoms.positions.shape) * spread[:, None])
    atoms.calc = calculator
    calculator.reset()
    begin = time.process_time()
    dynamics = LangevinBAOAB(
        atoms, TIMESTEP * units.fs, temperature_K=TEMPERATURE, T_tau=1000.0 * units.fs / FRICTION, rng=rng
    )
    dynamics.run(steps)
    return (time.process_time() - begin) / steps


def sampler_md(start: Atoms, calculator: PaceCalculator, seed: int, interval: int, steps: int) -> float:
    """CPU seconds per step of our sampler, which never halts here."""
    config = MdConfig(temperature=TEMPERATURE, timestep=TIMESTEP, friction=FRICTION, steps=steps, n=1)
    calculator.reset()
    begin = time.process_time()
    run = sample(Structure(start.copy()), calculator, None, config, seed, Watch(check_interval=interval))
    if run.end != 'finished':
        raise RuntimeError(f'the run ended early: {run.end}')
    return (time.process_time() - begin) / steps


if __name__ == '__main__':
    main()
