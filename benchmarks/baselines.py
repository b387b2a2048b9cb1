"""Delta learning: linear ACE alone, with core repulsion, and beside Lennard-Jones or the teacher's own dimers.

Training and test sets are those of ``linear_fit.py``. Beside the errors on the test set there is what a baseline is
said to be for, the energy where no data are: the two closest atoms of the training set are pushed together to 0.8 and
0.6 of their distance, and the energy of the whole frame is compared with the teacher's.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault('OMP_NUM_THREADS', '1')

import linear_fit
import numpy as np
import record
from ase import Atoms
from ase.calculators.calculator import CalculationFailed
from ase.calculators.emt import EMT
from ase.data import atomic_numbers, covalent_radii
from ase.neighborlist import neighbor_list

from aiida_traincraft.science.baselines import make_baseline
from aiida_traincraft.science.config.training.pace_linear import PaceLinearTraining
from aiida_traincraft.science.models.ace import PaceCalculator
from aiida_traincraft.science.models.delta import DeltaCalculator
from aiida_traincraft.science.models.pair import pairs_between
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.training.ace.linear import fit_linear, save_potential
from aiida_traincraft.science.training.labels import subtract

SIZES = (10, 40)
PUSHED = (0.8, 0.6)
"""Fractions of the shortest distance trained on."""
DIMERS = 28
"""Distances of each pair of elements, from 0.35 of the sum of the covalent radii to 5 Å, where the curve ends at 0."""
END = 5.0
COLUMNS = ('energy, meV/atom', 'forces, meV/Å', 'forces left', *(f'at {share} d, eV' for share in PUSHED), 'ms')
VARIANTS = {
    'none': ('none', 'none'),
    'zbl': ('none', 'zbl'),
    'lj': ('lj', 'none'),
    'lj, core': ('lj', 'zbl'),
    'dimers': ('table', 'none'),
}
"""What is subtracted before the fit, and whether pacemaker's core repulsion comes after it: no fit here is bound."""
TEACHERS = {'Cu': EMT, 'CuAu': EMT, 'water': linear_fit.gfn2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seeds', type=int, nargs='+', default=[1, 2, 3])
    parser.add_argument('--systems', nargs='+', default=list(linear_fit.SYSTEMS), choices=list(linear_fit.SYSTEMS))
    parser.add_argument('--sizes', type=int, nargs='+', default=list(SIZES), help='training frames')
    parser.add_argument('--results', type=Path, default=record.RESULTS, help='folder of the record')
    options = parser.parse_args()
    rows = [
        [name, size, variant, *cells]
        for name in options.systems
        for (size, variant), cells in compare(name, options.sizes, options.seeds).items()
    ]
    parts = [
        f'Seeds {", ".join(map(str, options.seeds))} (of frames and splits): median (smallest-largest). Root mean '
        'square errors of the test set. "Forces left": what the fit is shown of the root mean square force of its '
        'training set. "At 0.8 d": the two closest atoms of the training set, d apart, are pushed together to 0.8 d; '
        "energy of the whole frame minus the teacher's, in square brackets by how much the teacher's own rises "
        '(medians): where the first is below minus the second, there is a hole. Milliseconds (CPU) are those of energy '
        'and forces of a test frame. "lj, core" has pacemaker\'s core repulsion beside the Lennard-Jones baseline; '
        f'"dimers" are {DIMERS} energies of the teacher for two atoms of each pair of elements alone.',
        record.table(['system', 'frames', 'baseline', *COLUMNS], rows),
    ]
    command = f'python benchmarks/baselines.py --seeds {" ".join(map(str, options.seeds))}'
    packages = ['aiida-traincraft', 'python-ace', 'numpy', 'scipy', 'ase', 'tblite']
    record.write('baselines', 'Baselines of a linear ACE', command, parts, packages, options.results)


def compare(name: str, sizes: Sequence[int], seeds: Sequence[int]) -> dict[tuple[int, str], list[str]]:
    """Cells of the table for one system, by size and variant."""
    found: dict[tuple[int, str], list[tuple[float, ...]]] = {}
    for seed in seeds:
        train, test, e0 = linear_fit.SYSTEMS[name](seed)
        for size in sizes:
            labels = train[:size]
            pushed = [push(labels, share, TEACHERS[name]) for share in PUSHED]
            fits: dict[str, Any] = {}
            for variant, (subtracted, core) in VARIANTS.items():
                table = dimers(e0, TEACHERS[name]) if subtracted == 'table' else subtracted
                config = PaceLinearTraining.model_validate({'baseline': table})
                if subtracted not in fits:
                    baseline = config.baseline.fitted(labels)
                    left = subtract(labels, baseline)
                    fits[subtracted] = baseline, left, fit_linear(left, config, e0, seed, report=lambda line: None)
                baseline, left, fit = fits[subtracted]
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder) / 'potential.yaml'
                    save_potential(fit, path, PaceLinearTraining.model_validate({'baseline': core}), e0)
                    calculator = PaceCalculator(path, e0)
                if baseline.subtracts:
                    calculator = DeltaCalculator(calculator, make_baseline(baseline))
                energies = [excess(calculator, label) for label, _ in pushed]
                row = (*errors(calculator, test), rms(left) / rms(labels), *energies)
                row = (*row, milliseconds(calculator, test[-1].atoms), *(rise for _, rise in pushed))
                found.setdefault((size, variant), []).append(row)
                print(name, seed, size, variant, *(f'{value:.3f}' for value in row), flush=True)
    return {key: cells(np.array(rows)) for key, rows in found.items()}


def cells(rows: np.ndarray) -> list[str]:
    """Of rows (n_seeds, n_columns + rises): a cell for each column."""
    texts = [
        record.spread([float(value) for value in column], digits)
        for column, digits in zip(rows.T, (1, 1, 2, 1, 1, 1), strict=False)
    ]
    for at in range(len(PUSHED)):
        texts[3 + at] += f' [{np.median(rows[:, len(COLUMNS) + at]):.1f}]'
    return texts


def dimers(e0: Mapping[str, float], teacher: linear_fit.Teacher) -> dict[str, Any]:
    """Baseline ``table`` of the teacher's energies of two atoms; what does not converge is left to the spline."""
    pairs = {}
    for one, other in pairs_between(e0):
        contact = sum(covalent_radii[atomic_numbers[element]] for element in (one, other))
        near = np.linspace(0.35 * contact, 1.2 * contact, DIMERS - 9)
        points = []
        for distance in [*near, *np.linspace(1.2 * contact, END, 10)[1:]]:
            atoms = Atoms([one, other], [[0, 0, 0], [0, 0, distance]], calculator=teacher())
            with contextlib.suppress(CalculationFailed):
                points.append((float(distance), float(atoms.get_potential_energy() - e0[one] - e0[other])))
        # Of atoms that far apart.
        rest = points.pop()[1] if points[-1][0] == END else 0.0
        distances, energies = zip(*points, (END, rest), strict=True)
        pairs[f'{one}-{other}'] = {'r': list(distances), 'energy': [energy - rest for energy in energies]}
    return {'type': 'table', 'pairs': pairs}


def push(frames: Sequence[Structure], share: float, teacher: linear_fit.Teacher) -> tuple[Structure, float]:
    """The frame with the shortest distance, its two atoms pushed together; and the rise of its energy (eV)."""
    closest = min(frames, key=lambda frame: neighbor_list('d', frame.atoms, 4.0).min())
    first, second, distances, vectors = neighbor_list('ijdD', closest.atoms, 4.0)
    at = int(distances.argmin())
    moved = closest.atoms.copy()
    moved.positions[first[at]] += (1 - share) / 2 * vectors[at]
    moved.positions[second[at]] -= (1 - share) / 2 * vectors[at]
    (label,) = linear_fit.labelled([moved], teacher)
    return label, label.properties['energy'] - closest.properties['energy']


def errors(calculator: Any, test: Sequence[Structure]) -> tuple[float, float]:
    """Root mean square errors of energy (meV/atom) and force components (meV/Å)."""
    energies, forces = [], []
    for frame in test:
        atoms = Atoms(frame.atoms, calculator=calculator)
        energies.append((atoms.get_potential_energy() - frame.properties['energy']) / len(atoms))
        forces.append(np.ravel(atoms.get_forces() - frame.properties['forces']))
    return tuple(1e3 * float(np.sqrt(np.mean(np.square(found)))) for found in (energies, np.concatenate(forces)))


def excess(calculator: Any, label: Structure) -> float:
    """Energy (eV) above the teacher's."""
    return float(calculator.get_property('energy', label.atoms) - label.properties['energy'])


def rms(frames: Sequence[Structure]) -> float:
    """Root mean square of the force components."""
    return float(np.sqrt(np.mean(np.concatenate([np.ravel(frame.properties['forces']) for frame in frames]) ** 2)))


def milliseconds(calculator: Any, atoms: Atoms) -> float:
    """CPU time of energy and forces."""
    begin = time.process_time()
    for _ in range(10):
        atoms.positions += 1e-6
        calculator.get_property('forces', atoms)
    return 100 * (time.process_time() - begin)


if __name__ == '__main__':
    main()
