"""Import of many labelled structures, against one HDF5 file with a group per frame and against the calcfunction route.

All in one run, on the same extended XYZ file: the HDF5 file is written before and after each import, and frames are
stored one by one (a ``StructureData`` and an ``ArrayData`` each, as outputs of a calcfunction) in the same profile.
Each part is a process of its own, so that its memory is its own. Positions are jittered lattices, labels random
numbers: neither side looks at what they mean. PostgreSQL runs if Debian's package is there.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault('OMP_NUM_THREADS', '1')

import numpy as np
import postgresql
import record
from ase import Atoms
from bulk_writer import routes

from aiida_traincraft.science.datasets.extxyz import LabelKeys, read_labelled
from aiida_traincraft.science.structure import Structure, write_extxyz

AT_ONCE = 1000
ELEMENTS = [13, 29, 47]
SPACING = 2.6
LEVEL = {'name': 'random numbers'}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--frames', type=int, default=100_000)
    parser.add_argument('--slow-frames', type=int, default=100, help='stored one by one, the cost being linear')
    parser.add_argument('--repeat', type=int, default=1, help='rounds per database')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--results', type=Path, default=record.RESULTS, help='folder of the table')
    parser.add_argument('--part', help=argparse.SUPPRESS)
    parser.add_argument('--file', type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(PARTS[options.part](options)))
        return
    with tempfile.TemporaryDirectory() as name:
        options.file = Path(name) / 'frames.extxyz'
        print(f'writing {options.frames} frames ...', flush=True)
        write_file(options.file, options.frames, options.seed)
        databases = ['core.sqlite_dos', *(['core.psql_dos'] if postgresql.programs() else [])]
        rows = [measure(database, options, Path(name)) for database in databases]
    head = ['database', 'import, frames/s', 'import / HDF5', 'import / (reading + HDF5)', 'storing / HDF5']
    head += ['one by one / import', 'peak memory of the import, MB', 'slowest query, s', 'slowest `why`, s']
    parts = [
        f'{options.frames} frames of 8 to 64 atoms with energy, forces and stress. The import reads and judges every '
        'frame, then stores it as a structure node and a label node ("storing" is the second half alone); HDF5 is a '
        "group per frame with the same arrays as datasets and a label node's scalars as attributes, timed without and "
        f'with reading the frames. One by one: {options.slow_frames} frames as outputs of a calcfunction. Wall time, '
        f'median (smallest-largest) of {options.repeat} rounds, HDF5 as mean of before and after. Queries over all '
        'labels: formula, energy window, largest force, counted and the first 100 fetched; '
        '`why` for a potential of a dataset of all labels, for the dataset, a label and a structure. Goals: '
        'import / HDF5 at most 2, one by one / import at least 100, memory under 500 MB, each answer under 2 s.',
        record.table(head, rows),
    ]
    packages = ('aiida-core', 'disk-objectstore', 'SQLAlchemy', 'psycopg', 'h5py', 'numpy', 'ase', 'aiida-traincraft')
    title = 'Bulk import against HDF5 and the calcfunction route'
    record.write('bulk_import', title, 'python benchmarks/bulk_import.py', parts, packages, options.results)


def measure(database: str, options: argparse.Namespace, folder: Path) -> list[object]:
    """Row of the table: all rounds of a database."""
    found: list[dict[str, float]] = []
    for number in range(options.repeat):
        home = folder / f'{database}-{number}'
        home.mkdir()
        with postgresql.server() if 'psql' in database else nullcontext(0) as port:
            environment = {**os.environ, 'AIIDA_PATH': str(home), 'BENCH_DATABASE': database, 'BENCH_PORT': str(port)}

            def part(name: str, environment: dict[str, str] = environment, number: int = number) -> dict[str, float]:
                command = [sys.executable, '-W', 'ignore', __file__, '--part', name, '--file', str(options.file)]
                command += ['--frames', str(options.frames), '--slow-frames', str(options.slow_frames)]
                done = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True)
                result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
                print(f'{database}, round {number + 1}, {name}: {result}', flush=True)
                return result

            before, imported, after, slow = part('hdf5'), part('import'), part('hdf5'), part('one_by_one')
            answers = part('queries'), part('why')
        writing = (before['writing'] + after['writing']) / 2
        reading = (before['reading'] + after['reading']) / 2
        found.append(
            {
                'rate': options.frames / imported['seconds'],
                'hdf5': imported['seconds'] / writing,
                'both': imported['seconds'] / (writing + reading),
                'storing': imported['storing'] / writing,
                'slow': slow['seconds'] / options.slow_frames / (imported['seconds'] / options.frames),
                'memory': imported['memory'],
                'queries': max(answers[0].values()),
                'why': max(answers[1].values()),
            }
        )
    columns = {key: [item[key] for item in found] for key in found[0]}
    digits = {'rate': 0, 'slow': 0, 'memory': 0}
    return [database, *(record.spread(values, digits.get(key, 2)) for key, values in columns.items())]


def write_file(path: Path, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)

    def frames() -> Any:
        for _ in range(count):
            n_atoms = int(rng.integers(8, 65))
            edge = int(np.ceil(n_atoms ** (1 / 3)))
            grid = np.stack(np.meshgrid(*[np.arange(edge)] * 3, indexing='ij'), -1).reshape(-1, 3)[:n_atoms]
            positions = SPACING * grid + rng.normal(scale=0.1, size=(n_atoms, 3))
            atoms = Atoms(rng.choice(ELEMENTS, n_atoms), positions, cell=[SPACING * edge] * 3, pbc=True)
            forces = rng.normal(size=(n_atoms, 3))
            properties = {
                'energy': float(rng.normal(-3.5, 0.1)) * n_atoms,
                'forces': forces - forces.mean(axis=0),
                'stress': rng.normal(scale=0.01, size=6),
            }
            yield Structure(atoms, properties, {'system': 'jittered'})

    write_extxyz(path, frames())


def read(path: Path) -> Any:
    return (frame for frame, _ in read_labelled(path, LabelKeys()))


def hdf5(options: argparse.Namespace) -> dict[str, float]:
    """Write all frames to one file, a group each; seconds of writing and of reading the frames."""
    import h5py

    seconds = {'reading': 0.0, 'writing': 0.0}
    clock = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal clock
        clock, before = time.perf_counter(), clock
        seconds[name] += clock - before

    with tempfile.TemporaryDirectory() as name:
        file = h5py.File(Path(name) / 'frames.h5', 'w')
        batch: list[Structure] = []
        for number, frame in enumerate(read(options.file)):
            batch.append(frame)
            if len(batch) == AT_ONCE or number + 1 == options.frames:
                lap('reading')
                for index, item in enumerate(batch, number + 1 - len(batch)):
                    write_group(file.create_group(f'{index:06d}'), item)
                batch.clear()
                lap('writing')
        file.close()
        lap('writing')
    return seconds


def write_group(group: Any, frame: Structure) -> None:
    atoms, properties = frame.atoms, frame.properties
    group['numbers'], group['positions'] = atoms.numbers, atoms.positions
    group['cell'], group['pbc'] = atoms.cell.array, atoms.pbc
    group['forces'], group['stress'] = properties['forces'], properties['stress']
    scalars = {'energy': properties['energy'], 'n_atoms': len(atoms), 'formula': frame.formula, 'system': 'jittered'}
    scalars |= {'energy_per_atom': properties['energy'] / len(atoms), 'fingerprint': frame.content_hash()}
    scalars['max_force'] = float(np.linalg.norm(properties['forces'], axis=1).max())
    for key, value in scalars.items():
        group.attrs[key] = value


def load(create: bool = False) -> None:
    """Load the profile of this round, made by its first part."""
    from aiida.manage.configuration import create_profile, get_config, load_profile

    config, database = get_config(create=True), os.environ['BENCH_DATABASE']
    if create:
        storage: dict[str, Any] = {}
        if 'psql' in database:
            import psycopg

            port = int(os.environ['BENCH_PORT'])
            where = f'host=127.0.0.1 port={port} user=aiida dbname=postgres'
            psycopg.connect(where, autocommit=True).execute('create database bench')
            storage = {'database_hostname': '127.0.0.1', 'database_port': port, 'database_name': 'bench'}
            storage |= {
                'database_engine': 'postgresql_psycopg',
                'repository_uri': f'file://{os.environ["AIIDA_PATH"]}/r',
            }
            storage |= {'database_username': 'aiida', 'database_password': 'aiida'}
        create_profile(config, name='bench', email='a@b.c', storage_backend=database, storage_config=storage)
        config.store()
    load_profile('bench')


def import_(options: argparse.Namespace) -> dict[str, float]:
    """Import the file; seconds in all and of storing, peak memory (MB) of this process and its child."""
    from aiida_traincraft.exchange.imports import import_frames
    from aiida_traincraft.exchange.judging import ImportOptions

    load(create=True)
    judged = begin = time.perf_counter()

    def progress(stage: str, _done: int, _total: int) -> None:
        nonlocal judged
        if stage == 'validating':
            judged = time.perf_counter()

    done = import_frames([options.file], LEVEL, ImportOptions(), progress=progress)
    end = time.perf_counter()
    if done.report.accepted != options.frames:
        raise RuntimeError(f'{done.report.accepted} of {options.frames} frames were imported')
    # With that of the process that reads.
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    memory = sum(resource.getrusage(process).ru_maxrss for process in who) / 1024
    return {'seconds': end - begin, 'storing': end - judged, 'memory': memory}


def one_by_one(options: argparse.Namespace) -> dict[str, float]:
    """Store some frames as outputs of a calcfunction; seconds."""
    load()
    frames = [frame for frame, _ in zip(read(options.file), range(options.slow_frames + 2), strict=False)]
    _, slow = routes([])
    slow(frames[:2])
    begin = time.perf_counter()
    slow(frames[2:])
    return {'seconds': time.perf_counter() - begin}


def queries(options: argparse.Namespace) -> dict[str, float]:
    """Seconds of the common questions about labels."""
    from aiida_traincraft.provenance.queries import find_labels

    load()
    first = next(iter(read(options.file)))
    questions = {
        'formula': {'formula': first.formula},
        'energy': {'energy_per_atom': (-3.52, -3.48)},
        'max_force': {'max_force': (4.0, None)},
    }
    return {
        name: median(timed(lambda given=given: ask(find_labels(**given))) for _ in range(3))
        for name, given in questions.items()
    }


def why(options: argparse.Namespace) -> dict[str, float]:
    """Seconds of ``traincraft why`` for a potential, its dataset and one of its labels and structures."""
    from aiida import orm
    from aiida.common.links import LinkType

    from aiida_traincraft.calculations.functions.gathering import gather_dataset
    from aiida_traincraft.data.level_of_theory import level_hash
    from aiida_traincraft.data.potentials.pace import PacePotentialData
    from aiida_traincraft.data.reading import find_output
    from aiida_traincraft.provenance.describe import IMPORT_PROCESS_TYPE
    from aiida_traincraft.provenance.lineage import lineage, origins

    load()
    process = (
        orm.QueryBuilder().append(orm.CalculationNode, filters={'process_type': IMPORT_PROCESS_TYPE}).first(flat=True)
    )
    dataset = gather_dataset(orm.Str(level_hash(LEVEL)), labels=find_output(process, 'manifest'))
    stand_in_training = orm.CalculationNode()
    stand_in_training.base.links.add_incoming(dataset, LinkType.INPUT_CALC, 'dataset')
    stand_in_training.store()
    with tempfile.NamedTemporaryFile('w', suffix='.yaml') as file:
        file.write('stands in for a potential')
        file.flush()
        potential = PacePotentialData(Path(file.name), {'Al': 0.0, 'Cu': 0.0, 'Ag': 0.0}, 5.0)
    potential.base.links.add_incoming(stand_in_training, LinkType.CREATE, 'potential')
    potential.store()
    stand_in_training.seal()
    nodes = {'potential': potential, 'dataset': dataset}
    nodes |= {name: find_output(process, f'{name}s__000007') for name in ('label', 'structure')}
    return {
        name: median(timed(lambda node=node: (origins(node), lineage(node, 3))) for _ in range(3))
        for name, node in nodes.items()
    }


def ask(query: Any) -> None:
    query.count()
    query.limit(100).all()


def timed(work: Callable[[], None]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


PARTS = {'hdf5': hdf5, 'import': import_, 'one_by_one': one_by_one, 'queries': queries, 'why': why}

if __name__ == '__main__':
    main()
