"""Import files in children that are killed at random moments, until so many were; run as a program of its own.

Arguments: folder (with the profile "kill" in it), number of kills. Children are forked before any profile is loaded.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase.build import bulk

FRAMES = 400
LEVEL = {'name': 'killed'}


def main() -> None:
    folder, kills = Path(sys.argv[1]), int(sys.argv[2])
    rng, done, files = random.Random(5), 0, 0
    while done < kills:
        path = folder / f'{files}.extxyz'
        write_file(path, seed=files)
        files += 1
        while done < kills:
            child = in_child(lambda path=path: run_import(path))
            time.sleep(rng.uniform(0.0, 1.5))
            os.kill(child, signal.SIGKILL)
            if os.waitpid(child, 0)[1] != signal.SIGKILL:
                break
            done += 1
            wait(in_child(check_halves))
        wait(in_child(lambda path=path: finish(path)))
    print(f'{done} kills, {files} files')


def in_child(work: Callable[[], None]) -> int:
    if child := os.fork():
        return child
    code = 1
    try:
        load()
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def wait(child: int) -> None:
    if os.waitpid(child, 0)[1] != 0:
        raise SystemExit('a check failed')


def load() -> None:
    from aiida.manage.configuration import load_profile

    from aiida_traincraft.data import bulk as writer

    load_profile('kill')
    writer.NODES_PER_TRANSACTION = 20


def run_import(path: Path) -> None:
    from aiida_traincraft.provenance.imports import import_frames
    from aiida_traincraft.provenance.staging import ImportOptions

    import_frames([path], LEVEL, ImportOptions())


def check_halves() -> None:
    """Each structure has its label, each node its link, and each can be read."""
    from aiida import orm
    from aiida.common.links import LinkType

    from aiida_traincraft.data.label import LabelData
    from aiida_traincraft.data.reading import read_structures
    from aiida_traincraft.data.structure import TrainingStructureData

    found = {}
    for name, node_class in (('structures', TrainingStructureData), ('labels', LabelData)):
        query = orm.QueryBuilder().append(orm.CalculationNode, tag='process', project='id')
        edge = {'type': LinkType.CREATE.value}
        query.append(node_class, with_incoming='process', edge_filters=edge, project='uuid', edge_project='label')
        rows = query.all()
        assert len(rows) == orm.QueryBuilder().append(node_class).count(), f'{name} without a link'
        found[name] = {(process, label.removeprefix(f'{name}__')): uuid for process, uuid, label in rows}
        read_structures(list(found[name].values()))
    assert found['structures'].keys() == found['labels'].keys(), 'a structure without its label'


def finish(path: Path) -> None:
    """Go on to the end, and compare with what the file holds."""
    from aiida import orm

    from aiida_traincraft.data.label import LabelData
    from aiida_traincraft.data.reading import read_structures
    from aiida_traincraft.provenance.imports import import_frames
    from aiida_traincraft.provenance.staging import ImportOptions
    from aiida_traincraft.science.extxyz import LabelKeys, read_labelled

    process = import_frames([path], LEVEL, ImportOptions()).process
    assert process.is_sealed
    uuids = process.outputs.manifest.uuids
    expected = [frame.content_hash() for frame in read_labelled(path, LabelKeys())]
    assert [frame.content_hash() for frame in read_structures(uuids)] == expected
    query = orm.QueryBuilder().append(orm.CalculationNode, filters={'id': process.pk}, tag='process')
    query.append(LabelData, with_incoming='process', project='uuid')
    assert sorted(query.all(flat=True)) == sorted(uuids)
    check_halves()


def write_file(path: Path, seed: int) -> None:
    from aiida_traincraft.science.structure import Structure, write_extxyz

    rng = np.random.default_rng(seed)
    frames = []
    for number in range(FRAMES):
        atoms = bulk('Cu', cubic=True)
        atoms.positions += rng.normal(scale=0.05, size=(4, 3))
        frames.append(Structure(atoms, {'energy': float(number), 'forces': np.zeros((4, 3))}))
    write_extxyz(path, frames)


if __name__ == '__main__':
    # The slow imports happen once, before the first fork.
    import aiida_traincraft.provenance.imports  # noqa: F401

    main()
