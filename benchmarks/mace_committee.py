"""A committee of four MACE models on a thousand frames: our job ``evaluate`` over a bare script that does the same.

The job is what a compute node runs: ``python traincraft.zip`` in a folder with the frames and the models. The bare
script reads the same frames as extended XYZ, asks MACE's own ``MACECalculator`` for energy, forces, stress and the
spread of the forces, one frame after the other, and writes errors and predictions. Both run in the environment of MACE,
as processes of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import tempfile
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')

import numpy as np
import record
from ase.build import bulk
from ase.calculators.emt import EMT
from copper import LATTICE_CONSTANT, copper_frames, isolated_energy

from aiida_traincraft.calculations.science_zip import science_zip
from aiida_traincraft.science.structure import Structure, write_extxyz, write_frames

MODELS = [f'model_{index}.model' for index in range(4)]

MAKE_MODELS = """
import sys
import mace.modules as modules
import numpy as np
import torch
from e3nn.o3 import Irreps

torch.set_default_dtype(torch.float64)
block = modules.interaction_classes['RealAgnosticResidualInteractionBlock']
for seed, path in enumerate(sys.argv[2:]):
    torch.manual_seed(seed)
    model = modules.ScaleShiftMACE(
        r_max=4.0, num_bessel=8, num_polynomial_cutoff=5, max_ell=2, interaction_cls=block,
        interaction_cls_first=block, num_interactions=2, num_elements=1, hidden_irreps=Irreps('16x0e'),
        MLP_irreps=Irreps('16x0e'), atomic_energies=np.array([float(sys.argv[1])]), avg_num_neighbors=18.0,
        atomic_numbers=[29], correlation=2, gate=torch.nn.functional.silu, radial_MLP=[32, 32],
        atomic_inter_scale=1.0, atomic_inter_shift=0.0,
    )
    torch.save(model, path)
"""

BARE = """
import json
import sys
import numpy as np
from ase.io import read, write
from mace.calculators import MACECalculator

calculator = MACECalculator(model_paths=sys.argv[1:], device='cpu', default_dtype='float64')
errors = {'energy': [], 'forces': [], 'stress': []}
images = read('dataset.xyz', ':')
for atoms in images:
    atoms.calc = calculator
    energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
    spread = np.sqrt(calculator.results['forces_comm'].var(axis=0).sum(axis=1))
    # Not before: MACECalculator calculates anew when the info of the atoms has changed.
    atoms.info |= {'energy_MACE': energy, 'stress_MACE': stress}
    atoms.arrays |= {'forces_MACE': forces, 'spread': spread}
    errors['energy'].append([(energy - atoms.info['REF_energy']) / len(atoms)])
    errors['forces'].append((forces - atoms.arrays['REF_forces']).ravel())
    errors['stress'].append(stress - atoms.info['REF_stress'])
    atoms.calc = None
rmse = {name: float(np.sqrt(np.mean(np.concatenate(parts) ** 2))) for name, parts in errors.items()}
open('rmse.json', 'w').write(json.dumps(rmse))
write('predictions.xyz', images)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--frames', type=int, default=1000, help='cells of 4 to 31 atoms')
    parser.add_argument('--large', type=int, default=50, help='cells of 108 atoms')
    parser.add_argument('--repeat', type=int, default=3, help='rounds; each runs every variant once')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--python', type=Path, default=Path('.venv-mace/bin/python'), help='interpreter with MACE')
    options = parser.parse_args()
    # Not resolved: that would leave the environment.
    python = options.python.absolute()
    sets = {
        f'{options.frames} cells of 4 to 31 atoms': copper_frames(options.frames, options.seed),
        f'{options.large} cells of 108 atoms': large_frames(options.large, options.seed),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        models = [folder / model for model in MODELS]
        subprocess.run([python, '-c', MAKE_MODELS, str(isolated_energy()), *models], check=True, capture_output=True)
        fixed = prepare(folder / 'one', next(iter(sets.values()))[:1], models)
        rows = [measure(folder, title, frames, fixed, python, options) for title, frames in sets.items()]
        versions = json.loads((fixed / 'result.json').read_text())['versions']
    parts = [
        'Committee of four models (16x0e, two layers, correlation 2, cutoff 4 Å, float64), one thread. CPU seconds '
        f'of our job over those of the bare script in the same round: median (smallest-largest) of {options.repeat} '
        'rounds. "In all" counts the whole processes; "without the start" takes off what the same process needs for a '
        'single frame: imports and loading the models.',
        record.table(
            ['frames', 'in all', 'without the start', 'bare script, s', 'our job, s', 'start of either, s'], rows
        ),
        'The RMSE of both agree to 1e-6. The job puts up to 128 atoms into one call of a model; MACECalculator calls '
        'each model for each frame.',
        f'The jobs ran with mace-torch {versions["mace-torch"]}, ase {versions["ase"]}, numpy {versions["numpy"]}.',
    ]
    title = 'Committee evaluation over a bare script'
    record.write('mace_committee', title, 'python benchmarks/mace_committee.py', parts, ['aiida-traincraft'])


def large_frames(count: int, seed: int) -> list[Structure]:
    """Rattled cells of 108 atoms with their labels."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        atoms = bulk('Cu', 'fcc', a=LATTICE_CONSTANT, cubic=True).repeat(3)
        atoms.positions += rng.normal(scale=0.1, size=atoms.positions.shape)
        atoms.calc = EMT()
        energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
        atoms.calc = None
        frames.append(Structure(atoms, {'energy': energy, 'forces': forces, 'stress': stress}))
    return frames


def prepare(folder: Path, frames: list[Structure], models: list[Path]) -> Path:
    """Make a folder in which both variants run."""
    folder.mkdir()
    (folder / 'traincraft.zip').write_bytes(science_zip())
    write_frames(folder / 'dataset.frames', frames)
    write_extxyz(folder / 'dataset.xyz', frames)
    for model in models:
        (folder / model.name).symlink_to(model)
    table = {'type': 'mace', 'models': MODELS, 'head': None, 'e0': {'Cu': isolated_energy()}}
    (folder / 'task.json').write_text(json.dumps({'task': 'evaluate', 'parameters': {'potential': table}}))
    return folder


def measure(
    folder: Path, title: str, frames: list[Structure], fixed: Path, python: Path, options: argparse.Namespace
) -> list[str]:
    """Time both variants in rounds; one row of the table."""
    work = prepare(folder / title.replace(' ', '_'), frames, [folder / model for model in MODELS])
    commands = {'ours': [python, 'traincraft.zip'], 'bare': [python, '-c', BARE, *MODELS]}
    rounds = []
    for number in range(options.repeat):
        names = list(commands) if number % 2 else list(commands)[::-1]
        seconds = {(name, place): cpu_seconds(commands[name], place) for name in names for place in (fixed, work)}
        rounds.append(seconds)
        print(f'{title}, round {number + 1}: {[round(value, 1) for value in seconds.values()]}', flush=True)
    overall = json.loads((work / 'result.json').read_text())['overall']
    for name, value in json.loads((work / 'rmse.json').read_text()).items():
        if abs(overall[name]['rmse'] - value) > 1e-6:
            raise RuntimeError(f'{name}: the job finds an RMSE of {overall[name]["rmse"]}, the bare script {value}')

    def net(seconds: dict[tuple[str, Path], float], name: str) -> float:
        return seconds[name, work] - seconds[name, fixed]

    return [
        title,
        record.spread([seconds['ours', work] / seconds['bare', work] for seconds in rounds]),
        record.spread([net(seconds, 'ours') / net(seconds, 'bare') for seconds in rounds]),
        record.spread([seconds['bare', work] for seconds in rounds], 1),
        record.spread([seconds['ours', work] for seconds in rounds], 1),
        record.spread([seconds[name, fixed] for seconds in rounds for name in commands], 1),
    ]


def cpu_seconds(command: list[object], folder: Path) -> float:
    """CPU seconds of a process, its own and the system's."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == '__main__':
    main()
