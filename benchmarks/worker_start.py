"""What the worker of a label job costs before it labels: its own plugin imported, or every plugin, as it once was.

Run it from the root of a clone, in an environment with the package::

    python benchmarks/worker_start.py
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import record
from ase.build import bulk

from aiida_traincraft.calculations.science_zip import science_zip
from aiida_traincraft.science.structure import Structure, write_frames

TASK = {'task': 'label', 'parameters': {'calculator': {'type': 'emt'}, 'min_distance': 0.5}}
ALL = (
    "import sys; sys.path.insert(0, 'traincraft.zip'); from aiida_traincraft.science import registry; "
    'registry.plugins(); from aiida_traincraft.science.worker.main import main; sys.exit(main())'
)
VARIANTS = {
    'Python and ASE alone': ['-c', 'import ase.calculators.emt, pydantic'],
    'the worker, with its own plugin': ['traincraft.zip'],
    'the worker, with every plugin': ['-c', ALL],
}


def cpu_seconds(arguments: list[str], folder: Path) -> float:
    """CPU time (s) of one run, system time included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1'}
    subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Run the variants in turns and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument('--results', type=Path, default=record.RESULTS)
    options = parser.parse_args()
    found: dict[str, list[float]] = {name: [] for name in VARIANTS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / 'traincraft.zip').write_bytes(science_zip())
        (folder / 'task.json').write_text(json.dumps(TASK))
        write_frames(folder / 'structures.frames', [Structure(bulk('Cu', cubic=True))])
        for _ in range(options.rounds):
            for variant in random.sample(list(VARIANTS), len(VARIANTS)):
                found[variant].append(cpu_seconds(VARIANTS[variant], folder))
    every = found['the worker, with every plugin']
    rows = [
        [name, record.spread(values), record.spread([a / b for a, b in zip(values, every, strict=True)])]
        for name, values in found.items()
    ]
    record.write(
        'worker_start',
        'The worker of a job that makes one EMT label',
        'python benchmarks/worker_start.py',
        [
            'CPU seconds of the whole process, and over those of the worker with every plugin in the same round: '
            f'median (smallest-largest) of {options.rounds} rounds. Goal: at most 0.5.',
            record.table(['variant', 'CPU s', 'over every plugin'], rows),
        ],
        ['ase', 'numpy', 'pydantic'],
        options.results,
    )


if __name__ == '__main__':
    main()
