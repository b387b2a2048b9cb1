"""What an ACE potential says of atoms that come closer than in its data: four cures, three systems.

The sets are those of ``linear_fit.py``. Each potential is asked by the validator ``compression``, and on its own kind
of data, so that the price shows.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import linear_fit
import numpy as np
import record
from ase import Atoms
from ase.build import bulk, molecule

from aiida_traincraft.science.config.training.pace_linear import PaceLinearTraining
from aiida_traincraft.science.models.ace import PaceCalculator
from aiida_traincraft.science.models.ace_file import CORE_MARGIN, Pair, core_onsets
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.training.ace import linear, repulsion
from aiida_traincraft.science.training.ace.linear import fit_linear, save_potential
from aiida_traincraft.science.validation import Subject, examine
from aiida_traincraft.science.validation.compression import CompressionConfig

BELOW = 0.3
"""How far (Å) below the shortest distance of the data the errors are taken: what a hotter run reaches."""
Cure = Callable[..., tuple[Any, dict[Pair, float]]]


def usual(builder: Any, posterior: Any, frames: Any, shortest: Mapping[Pair, float], n_labels: int) -> Any:
    return None, core_onsets(builder.elements, shortest)


def at_the_data(builder: Any, posterior: Any, frames: Any, shortest: Mapping[Pair, float], n_labels: int) -> Any:
    onsets = core_onsets(builder.elements, shortest)
    return None, {pair: max(onset, shortest.get(pair, 0.0) - CORE_MARGIN) for pair, onset in onsets.items()}


def at_any_price(builder: Any, posterior: Any, frames: Any, shortest: Mapping[Pair, float], n_labels: int) -> Any:
    return repulsion.bound_fit(builder, posterior, frames, shortest, 10**9)


CURES: dict[str, Cure] = {
    'none': usual,
    'onset at the data': at_the_data,
    'bounds at any price': at_any_price,
    'bounds, onset where dear': repulsion.bound_fit,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seeds', type=int, nargs='+', default=[1, 2, 3])
    parser.add_argument('--systems', nargs='+', default=list(linear_fit.SYSTEMS), choices=list(linear_fit.SYSTEMS))
    parser.add_argument('--size', type=int, default=40, help='training frames')
    parser.add_argument('--results', type=Path, default=record.RESULTS, help='folder of the record')
    options = parser.parse_args()
    rows = [[name, *row] for name in options.systems for row in compare(name, options.size, options.seeds)]
    parts = [
        f'{options.size} frames, seeds {", ".join(map(str, options.seeds))}: median (smallest-largest). Forces: root '
        'mean square errors of the hold-out set and of the test set. "Fall" is how far the energy falls inwards behind '
        'a barrier: per atom of a compressed crystal or molecule, and of the worst pair. "Below" is the error of the '
        f'energy that it takes to go from the shortest distance of the data to {BELOW} Å below it: of a crystal, or by '
        'one bond of a molecule. Seconds are CPU of the fit.',
        record.table(
            [
                'system',
                'cure',
                'hold-out, meV/Å',
                'test, meV/Å',
                'fall, eV/atom',
                'fall of pairs, eV',
                'below, eV/atom',
                'seconds',
            ],
            rows,
        ),
    ]
    command = f'python benchmarks/holes.py --seeds {" ".join(map(str, options.seeds))} --size {options.size}'
    packages = ['aiida-traincraft', 'python-ace', 'numpy', 'scipy', 'ase', 'tblite']
    record.write('holes', 'Holes below the data: four cures', command, parts, packages, options.results)


def compare(name: str, size: int, seeds: list[int]) -> list[list[str]]:
    """Rows of the table for one system."""
    found: dict[str, list[list[float]]] = {}
    for seed in seeds:
        train, test, e0 = linear_fit.SYSTEMS[name](seed)
        for cure, bound in CURES.items():
            linear.bound_fit = bound
            begin = time.process_time()
            fit = fit_linear(train[:size], PaceLinearTraining(), e0, seed, report=lambda line: None)
            seconds = time.process_time() - begin
            assert fit.holdout is not None
            numbers = [1e3 * fit.holdout.force_rmse, *inwards(name, fit, e0, test), seconds]
            found.setdefault(cure, []).append(numbers)
            print(name, seed, cure, ' '.join(f'{number:.3g}' for number in numbers), flush=True)
    return [
        [cure, *[f'{median(column):.3g} ({min(column):.3g}-{max(column):.3g})' for column in zip(*rows, strict=True)]]
        for cure, rows in found.items()
    ]


def inwards(name: str, fit: linear.LinearFit, e0: dict[str, float], test: list[Any]) -> list[float]:
    """Test error, falls (eV/atom, eV), and error below the data (eV/atom)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'potential.yaml'
        save_potential(fit, path, PaceLinearTraining(), e0)
        calculator = PaceCalculator(path, e0)
    forces = []
    for frame in test:
        atoms = frame.atoms.copy()
        atoms.calc = calculator
        forces.append(np.ravel(atoms.get_forces() - frame.properties['forces']))
    shortest = min(fit.shortest.values())
    config = CompressionConfig(geometry={'builder': {'type': 'crystal', 'name': 'Cu'}})
    findings, _ = examine(config, Subject(calculator, Structure(squeeze(name, shortest)), report=lambda line: None))
    falls = [float(findings.values[key] or 0.0) for key in ('fall', 'pair_fall')]
    ends = [squeeze(name, distance) for distance in (shortest, shortest - BELOW)]
    teacher = linear_fit.gfn2() if name == 'water' else linear_fit.EMT()
    error = float(np.diff(energies(ends, calculator) - energies(ends, teacher))[0])
    return [1e3 * float(np.sqrt(np.mean(np.concatenate(forces) ** 2))), *falls, abs(error)]


def squeeze(name: str, distance: float) -> Atoms:
    """A crystal with nearest neighbours at a distance (Å); a water molecule with one bond of it."""
    if name == 'water':
        atoms = molecule('H2O')
        bond = atoms.positions[1] - atoms.positions[0]
        atoms.positions[1] = atoms.positions[0] + distance * bond / np.linalg.norm(bond)
        return atoms
    cell = bulk('Cu', a=distance * np.sqrt(2), cubic=True)
    if name == 'CuAu':
        cell.numbers[2:] = 79
    return cell


def energies(frames: list[Atoms], calculator: Any) -> np.ndarray:
    """Energies per atom (eV)."""
    found = []
    for atoms in frames:
        atoms.calc = calculator
        found.append(atoms.get_potential_energy() / len(atoms))
    return np.array(found)


if __name__ == '__main__':
    main()
