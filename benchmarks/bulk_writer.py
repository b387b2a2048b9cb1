"""The bulk writer against the calcfunction route: labelled structures stored as provenance nodes.

Both routes run as calcfunctions of one profile (SQLite, no broker, in a temporary folder), in turn, on the same frames:
``bulk`` calls ``create_frames`` in its body (a structure node and a label node per frame); ``one by one`` returns a
``StructureData`` and an ``ArrayData`` (forces, stress; the energy as attribute) per frame, which the engine stores.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault('OMP_NUM_THREADS', '1')

import record
from copper import copper_frames

from aiida_traincraft.science.structure import Structure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--frames', type=int, nargs='+', default=[500, 5000], help='sizes of the batches in bulk')
    parser.add_argument('--slow-frames', type=int, default=100, help='stored one by one per round')
    parser.add_argument('--repeat', type=int, default=5, help='rounds per journal mode')
    parser.add_argument('--seed', type=int, default=1)
    options = parser.parse_args()
    print(f'labelling {max(options.frames)} frames ...', flush=True)
    frames = copper_frames(max(options.frames), options.seed)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        # Must be set before aiida is imported, which therefore happens inside the functions.
        os.environ['AIIDA_PATH'] = name
        for journal in ('WAL', 'DELETE'):
            use_profile(journal)
            rows += measure(journal, frames, options)
    atoms = sum(len(frame) for frame in frames) / len(frames)
    parts = [
        f'Frames of {atoms:.0f} atoms on average, with energy, forces and stress. Time per frame, one by one / bulk: '
        f'median (smallest-largest) of {options.repeat} rounds; {options.slow_frames} frames per round go one by one '
        '(the cost of this route is linear in their number). Whole calls are timed, with what the engine itself costs, '
        'which is why small batches gain less; "writer alone" leaves out, of the bulk call, what the engine spends: it '
        'reads all outputs back when a process ends. Goal: at least 100. WAL is what the demo uses '
        '(`traincraft setup --wal`), DELETE is the default of SQLite.',
        record.table(
            ['SQLite journal', 'frames in bulk', 'wall time: one by one / bulk', 'CPU time', 'CPU time, writer alone'],
            rows,
        ),
    ]
    packages = ('aiida-core', 'disk-objectstore', 'SQLAlchemy', 'numpy', 'ase', 'aiida-traincraft')
    title = 'Bulk writer against the calcfunction route'
    record.write('bulk_writer', title, 'python benchmarks/bulk_writer.py', parts, packages)


def use_profile(journal: str) -> None:
    """Create and load a profile of its own for a journal mode."""
    from aiida.manage import get_manager
    from aiida.manage.configuration import create_profile, get_config, load_profile

    name = f'bench-{journal.lower()}'
    config = get_config(create=True)
    create_profile(config, name=name, email='bench@localhost', storage_backend='core.sqlite_dos', storage_config={})
    config.store()
    load_profile(name, allow_switch=True)
    with sqlite3.connect(get_manager().get_profile_storage().filepath_database) as connection:
        connection.execute(f'PRAGMA journal_mode={journal}')


def measure(journal: str, frames: Sequence[Structure], options: argparse.Namespace) -> list[list[object]]:
    """Time both routes in rounds; rows of the table."""
    writer_seconds: list[float] = []
    bulk, one_by_one = routes(writer_seconds)
    bulk(frames[:10])
    one_by_one(frames[:2])
    walls: dict[int, list[float]] = {size: [] for size in options.frames}
    cpus: dict[int, list[float]] = {size: [] for size in options.frames}
    alone: dict[int, list[float]] = {size: [] for size in options.frames}
    for number in range(options.repeat):
        slow = timed(one_by_one, frames[: options.slow_frames])
        line = f'{journal}, round {number + 1}: one by one {1e3 * slow[0]:.1f} ms per frame'
        for size in options.frames:
            fast = timed(bulk, frames[:size])
            walls[size].append(slow[0] / fast[0])
            cpus[size].append(slow[1] / fast[1])
            alone[size].append(slow[1] / (writer_seconds[-1] / size))
            line += f', bulk of {size} {1e3 * fast[0]:.3f} ms'
        print(line, flush=True)
    return [
        [journal, size, *(record.spread(ratios[size], 0) for ratios in (walls, cpus, alone))] for size in options.frames
    ]


def timed(route: Callable[[Sequence[Structure]], None], frames: Sequence[Structure]) -> tuple[float, float]:
    """Wall and CPU seconds per frame."""
    wall, cpu = time.perf_counter(), time.process_time()
    route(frames)
    return (time.perf_counter() - wall) / len(frames), (time.process_time() - cpu) / len(frames)


def routes(
    writer_seconds: list[float],
) -> tuple[Callable[[Sequence[Structure]], None], Callable[[Sequence[Structure]], None]]:
    """Both routes as functions of the frames, which reach the calcfunctions by closure: inputs are not measured.

    The CPU seconds of each call of the bulk writer itself are appended to ``writer_seconds``.
    """
    from aiida import orm
    from aiida.engine import calcfunction
    from aiida.engine.processes import Process

    from aiida_traincraft.data.bulk import NewFrame, create_frames
    from aiida_traincraft.data.frames.label import LabelData
    from aiida_traincraft.data.frames.structure import TrainingStructureData

    given: list[Structure] = []

    @calcfunction
    def store_in_bulk(count):  # type: ignore[no-untyped-def]
        new = (
            NewFrame(node_class, frame, f'{kind}__{index:06d}')
            for index, frame in enumerate(given)
            for kind, node_class in (('structures', TrainingStructureData), ('labels', LabelData))
        )
        begin = time.process_time()
        create_frames(Process.current().node, new)
        writer_seconds.append(time.process_time() - begin)

    @calcfunction
    def store_one_by_one(count):  # type: ignore[no-untyped-def]
        outputs = {}
        for index, frame in enumerate(given):
            label = orm.ArrayData({key: frame.properties[key] for key in ('forces', 'stress')})
            label.base.attributes.set('energy', float(frame.properties['energy']))
            outputs |= {f'structure_{index}': orm.StructureData(ase=frame.atoms), f'label_{index}': label}
        return outputs

    def call(function: Any, frames: Sequence[Structure]) -> None:
        given[:] = frames
        _, node = function.run_get_node(orm.Int(len(given)))
        made = orm.QueryBuilder().append(orm.ProcessNode, filters={'id': node.pk}, tag='process', project=[])
        made.append(orm.Data, with_incoming='process', project=['id'])
        if made.count() != 2 * len(given):
            raise RuntimeError(f'{made.count()} nodes were made of {len(given)} frames')

    return (lambda frames: call(store_in_bulk, frames)), (lambda frames: call(store_one_by_one, frames))


if __name__ == '__main__':
    main()
