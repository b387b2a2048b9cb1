"""Linear ACE by its evidence against plain ridge, on nested training sets that become hotter as they grow.

As in a closed loop, the first frames are cold and later ones come from hotter runs; the sealed test set is the
hottest, with strained cells and a surface or a larger cluster. The question is not only which fit is better, but
whether one gets worse with more labels.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

os.environ.setdefault('OMP_NUM_THREADS', '1')

import numpy as np
import record
from ase import Atoms, units
from ase.build import bulk, fcc111, molecule
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from pyace import PyACECalculator

from aiida_traincraft.science.config.training.pace_linear import PaceLinearTraining
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.training.ace.linear import LinearFit, fit_linear

Teacher = Callable[[], Calculator]
SIZES = (10, 20, 40, 80)
PER_RUN = 20
VARIANTS = {
    'ridge': {'regression': 'ridge', 'stress_weight': 20.0},
    'ridge, stress 1': {'regression': 'ridge'},
    'evidence': {'regression': 'bayesian'},
}
"""The first is what was the default before."""


def gfn2() -> Calculator:
    from tblite.ase import TBLite

    return TBLite(method='GFN2-xTB', verbosity=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seeds', type=int, nargs='+', default=[1, 2, 3, 4, 5])
    parser.add_argument('--systems', nargs='+', default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument('--sizes', type=int, nargs='+', default=list(SIZES), help='training frames')
    parser.add_argument('--results', type=Path, default=record.RESULTS, help='folder of the record')
    options = parser.parse_args()
    rows = [
        [name, size, variant, *cells]
        for name in options.systems
        for size, variant, cells in compare(name, options.sizes, options.seeds)
    ]
    parts = [
        f'Seeds {", ".join(map(str, options.seeds))} (of frames and splits); root mean square errors of the test set: '
        'median (smallest-largest). "Worse" counts the seeds whose force error is more than 1.05 times that of the '
        'next smaller training set. Seconds are CPU of the whole fit, its design matrix included, as a ratio to the '
        'first row of the same size.',
        record.table(
            ['system', 'frames', 'fit', 'energy, meV/atom', 'forces, meV/Å', 'worse', 'seconds'],
            rows,
        ),
    ]
    command = f'python benchmarks/linear_fit.py --seeds {" ".join(map(str, options.seeds))}'
    packages = ['aiida-traincraft', 'python-ace', 'numpy', 'scipy', 'ase', 'tblite']
    record.write('linear_fit', 'Linear ACE: evidence against ridge', command, parts, packages, options.results)


def compare(name: str, sizes: Sequence[int], seeds: Sequence[int]) -> list[tuple[int, str, list[object]]]:
    """Rows of the table for one system: size, variant, and the other cells."""
    found: dict[tuple[int, str], list[tuple[float, float, float]]] = {}
    for seed in seeds:
        train, test, e0 = SYSTEMS[name](seed)
        for size in sizes:
            for variant, keys in VARIANTS.items():
                begin = time.process_time()
                config = PaceLinearTraining.model_validate(keys)
                fit = fit_linear(train[:size], config, e0, seed, report=lambda line: None)
                seconds = time.process_time() - begin
                energy, forces = errors(fit, test, e0)
                found.setdefault((size, variant), []).append((energy, forces, seconds))
                print(f'{name} seed {seed} {size} {variant}: {energy:.2f} meV/atom {forces:.1f} meV/Å', flush=True)
    first = next(iter(VARIANTS))
    rows = []
    for (size, variant), values in found.items():
        smaller = found.get((sizes[max(0, list(sizes).index(size) - 1)], variant), values)
        worse = sum(now[1] > 1.05 * before[1] for now, before in zip(values, smaller, strict=True))
        seconds = median(now[2] / base[2] for now, base in zip(values, found[size, first], strict=True))
        columns = [record.spread([value[index] for value in values], 1) for index in (0, 1)]
        rows.append((size, variant, [*columns, f'{worse} of {len(seeds)}', f'{seconds:.2f}']))
    return rows


def errors(fit: LinearFit, test: Sequence[Structure], e0: dict[str, float]) -> tuple[float, float]:
    """Root mean square errors of energy (meV/atom) and force components (meV/Å)."""
    calculator, energies, forces = PyACECalculator(fit.basis), [], []
    for frame in test:
        atoms = frame.atoms.copy()
        atoms.calc = calculator
        cohesive = frame.properties['energy'] - sum(e0[symbol] for symbol in atoms.get_chemical_symbols())
        energies.append((atoms.get_potential_energy() - cohesive) / len(atoms))
        forces.append(np.ravel(atoms.get_forces() - frame.properties['forces']))
    return tuple(1e3 * float(np.sqrt(np.mean(np.square(found)))) for found in (energies, np.concatenate(forces)))


def copper(seed: int) -> tuple[list[Structure], list[Structure], dict[str, float]]:
    """Rattled cells, then MD of 300 to 1200 K; tested on 1300 K, on strained cells and on a surface."""
    rng = np.random.default_rng(seed)
    cell = bulk('Cu', cubic=True)
    train = [rattled(cell.repeat((2, 1, 1)), 0.05, 0.02, rng) for _ in range(PER_RUN)]
    for temperature in (300.0, 700.0, 1200.0):
        train += dynamics(cell.repeat((2, 2, 1)), temperature, PER_RUN, rng, EMT)
    test = [rattled(cell.repeat((2, 2, 1)), 0.15, 0.04, rng) for _ in range(8)]
    test += dynamics(cell.repeat(2), 1300.0, 8, rng, EMT)
    test += dynamics(fcc111('Cu', (2, 2, 3), vacuum=6.0, periodic=True), 700.0, 8, rng, EMT)
    return labelled(train, EMT), labelled(test, EMT), alone('Cu', teacher=EMT)


def copper_gold(seed: int) -> tuple[list[Structure], list[Structure], dict[str, float]]:
    """Three compositions, rattled, then MD of 300 to 800 K; tested on other compositions and strained cells."""
    rng = np.random.default_rng(seed)

    def alloy(share: float) -> Atoms:
        atoms = bulk('Cu', cubic=True, a=3.6 + 0.45 * share).repeat((2, 1, 1))
        numbers = atoms.numbers.copy()
        numbers[rng.permutation(len(atoms))[: round(share * len(atoms))]] = 79
        atoms.numbers = numbers
        return atoms

    train = [rattled(alloy(rng.choice([0.25, 0.5, 0.75])), 0.08, 0.03, rng) for _ in range(PER_RUN)]
    for temperature, share in ((300.0, 0.25), (600.0, 0.5), (800.0, 0.75)):
        train += dynamics(alloy(share).repeat((1, 2, 1)), temperature, PER_RUN, rng, EMT)
    test = [rattled(alloy(rng.choice([0.25, 0.5, 0.75])).repeat((1, 2, 1)), 0.12, 0.04, rng) for _ in range(8)]
    for share in (0.125, 0.375, 0.625):
        test += dynamics(alloy(share).repeat((1, 2, 1)), 900.0, 6, rng, EMT)
    return labelled(train, EMT), labelled(test, EMT), alone('Cu', 'Au', teacher=EMT)


def water(seed: int) -> tuple[list[Structure], list[Structure], dict[str, float]]:
    """Clusters of four at 50 to 400 K (GFN2-xTB); tested on clusters of six at 450 K."""
    rng = np.random.default_rng(seed)

    def cluster(count: int) -> Atoms:
        sites = 2.9 * np.array([[x, y, z] for x in range(2) for y in range(2) for z in range(2)], float)[:count]
        atoms = Atoms()
        for site in sites:
            one = molecule('H2O')
            one.rotate(float(rng.uniform(0, 360)), rng.normal(size=3))
            one.translate(site - one.get_center_of_mass())
            atoms += one
        return atoms

    train = []
    for temperature in (50.0, 100.0, 250.0, 400.0):
        train += dynamics(cluster(4), temperature, PER_RUN, rng, gfn2, timestep=0.5)
    test = dynamics(cluster(6), 450.0, 12, rng, gfn2, timestep=0.5)
    return labelled(train, gfn2), labelled(test, gfn2), alone('H', 'O', teacher=gfn2)


SYSTEMS = {'Cu': copper, 'CuAu': copper_gold, 'water': water}


def rattled(atoms: Atoms, stdev: float, strain: float, rng: np.random.Generator) -> Atoms:
    """A copy with random displacements (Å) and a random symmetric strain."""
    moved, deformation = atoms.copy(), rng.normal(scale=strain, size=(3, 3))
    moved.set_cell(moved.cell.array @ (np.eye(3) + (deformation + deformation.T) / 2), scale_atoms=True)
    moved.positions += rng.normal(scale=stdev, size=moved.positions.shape)
    return moved


def dynamics(
    atoms: Atoms,
    temperature: float,
    count: int,
    rng: np.random.Generator,
    teacher: Teacher,
    timestep: float = 3.0,
    every: int = 30,
) -> list[Atoms]:
    """Frames of a Langevin run (K, fs), some steps apart."""
    random = np.random.RandomState(int(rng.integers(2**31)))
    moving, frames = atoms.copy(), []
    moving.calc = teacher()
    thermalize_momenta(moving, temperature_K=temperature, rng=random)
    run = Langevin(moving, timestep * units.fs, temperature_K=temperature, friction=0.02 / units.fs, rng=random)
    for _ in range(count):
        run.run(every)
        frames.append(moving.copy())
    return frames


def labelled(frames: Sequence[Atoms], teacher: Teacher) -> list[Structure]:
    """Energy, forces and, of crystals, stress."""
    structures = []
    for frame in frames:
        atoms = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=frame.pbc, calculator=teacher())
        properties = {'energy': atoms.get_potential_energy(), 'forces': atoms.get_forces()}
        if atoms.pbc.all():
            properties['stress'] = atoms.get_stress()
        atoms.calc = None
        structures.append(Structure(atoms, properties))
    return structures


def alone(*elements: str, teacher: Teacher) -> dict[str, float]:
    """Energy (eV) of one atom of each element."""
    return {element: float(Atoms(element, calculator=teacher()).get_potential_energy()) for element in elements}


if __name__ == '__main__':
    main()
