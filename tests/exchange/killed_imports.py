"""Import files in children that are killed at random moments, until so many were; run as a program of its own.

Arguments: folder (with the profiles "kill" and "other" in it), number of kills. Children are forked before any profile
is loaded.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
from ase.build import bulk

FRAMES = 300
LEVEL = {'name': 'killed'}


def main() -> None:
    folder, kills = Path(sys.argv[1]), int(sys.argv[2])
    rng, done, files = random.Random(5), 0, 0
    storing = folder / 'storing'
    (folder / 'half').touch()
    while done < kills:
        path = folder / f'{files}.extxyz'
        write_file(path, seed=files)
        files += 1
        while done < kills:
            storing.unlink(missing_ok=True)
            child = in_child(lambda path=path: run_import(path, storing))
            # Every second one while it stores, however slow the machine is.
            if done % 2 and wait_for(storing, child):
                time.sleep(rng.uniform(0.0, 0.1))
            else:
                time.sleep(rng.uniform(0.0, 1.5))
            os.kill(child, signal.SIGKILL)
            if os.waitpid(child, 0)[1] != signal.SIGKILL:
                break
            done += 1
            wait(in_child(lambda: check_halves(folder / 'half')))
        wait(in_child(lambda path=path: finish(path)))
    wait(in_child(maintain))
    wait(in_child(lambda: archive(folder / 'all.aiida')))
    wait(in_child(lambda: unpack(folder / 'all.aiida'), 'other'))
    print(f'{done} kills, {len((folder / "half").read_text())} of them while storing, {files} files')


def in_child(work: Callable[[], None], profile: str = 'kill') -> int:
    if child := os.fork():
        return child
    code = 1
    try:
        load(profile)
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


def load(profile: str) -> None:
    from aiida.manage.configuration import load_profile

    from aiida_traincraft.data import bulk as writer
    from aiida_traincraft.exchange import judging as staging

    load_profile(profile)
    writer.NODES_PER_TRANSACTION = 20
    # Small files have no process that reads beside; half of these imports have it all the same.
    staging.LARGE *= os.getpid() % 2


def wait_for(flag: Path, child: int, seconds: float = 60.0) -> bool:
    """Whether a file came to be while a child lived."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and Path(f'/proc/{child}/stat').read_text().split()[2] != 'Z':
        if flag.exists():
            return True
        time.sleep(0.005)
    return False


def run_import(path: Path, storing: Path) -> None:
    from aiida_traincraft.exchange.imports import import_frames
    from aiida_traincraft.exchange.judging import ImportOptions

    def tell(stage: str, done: int, total: int) -> None:
        if stage == 'storing':
            storing.touch()

    import_frames([path], LEVEL, ImportOptions(), progress=tell)


def check_halves(half: Path | None = None) -> None:
    """Each structure has its label, each node its link, each of the last import can be read; notes a partial import."""
    from aiida import orm
    from aiida.common.links import LinkType

    from aiida_traincraft.data.frames.label import LabelData
    from aiida_traincraft.data.frames.structure import TrainingStructureData
    from aiida_traincraft.data.reading import read_structures

    found = {}
    for name, node_class in (('structures', TrainingStructureData), ('labels', LabelData)):
        query = orm.QueryBuilder().append(orm.CalculationNode, tag='process', project='id')
        edge = {'type': LinkType.CREATE.value}
        query.append(node_class, with_incoming='process', edge_filters=edge, project='uuid', edge_project='label')
        rows = query.all()
        assert len(rows) == orm.QueryBuilder().append(node_class).count(), f'{name} without a link'
        found[name] = {(process, label.removeprefix(f'{name}__')): uuid for process, uuid, label in rows}
        last = max((process for process, _ in found[name]), default=0)
        read_structures([uuid for (process, _), uuid in found[name].items() if process == last])
    assert found['structures'].keys() == found['labels'].keys(), 'a structure without its label'
    if half is not None and 0 < sum(process == last for process, _ in found['labels']) < FRAMES:
        half.open('a').write('x')


def finish(path: Path) -> None:
    """Go on to the end, and compare with what the file holds."""
    from aiida import orm

    from aiida_traincraft.data.frames.label import LabelData
    from aiida_traincraft.data.reading import read_structures
    from aiida_traincraft.exchange.imports import import_frames
    from aiida_traincraft.exchange.judging import ImportOptions
    from aiida_traincraft.science.datasets.extxyz import read_labelled
    from aiida_traincraft.science.datasets.label_keys import LabelKeys

    process = import_frames([path], LEVEL, ImportOptions()).process
    assert process.is_sealed
    uuids = process.outputs.manifest.uuids
    expected = [frame.content_hash() for frame, _ in read_labelled(path, LabelKeys())]
    assert [frame.content_hash() for frame in read_structures(uuids)] == expected
    query = orm.QueryBuilder().append(orm.CalculationNode, filters={'id': process.pk}, tag='process')
    query.append(LabelData, with_incoming='process', project='uuid')
    assert sorted(query.all(flat=True)) == sorted(uuids)
    check_halves()


def maintain() -> None:
    """``verdi storage maintain``; what killed imports left behind is nobody's."""
    from aiida.manage import get_manager

    storage = get_manager().get_profile_storage()
    storage.maintain(full=True)
    assert not storage.get_unreferenced_keyset()
    check_halves()


def archive(path: Path) -> None:
    from aiida.tools.archive import create_archive

    create_archive(None, filename=path)


def unpack(path: Path) -> None:
    """``verdi archive import`` into an empty profile: the same nodes, each with the frame that its fingerprint says."""
    from aiida import orm
    from aiida.tools.archive import import_archive

    from aiida_traincraft.data.frames.label import LabelData

    import_archive(path)
    check_halves()
    labels = orm.QueryBuilder().append(LabelData).all(flat=True)
    assert labels
    for node in labels[::50]:
        assert node.get_structure().content_hash() == node.structure_fingerprint


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
    for module in ('aiida.storage.sqlite_dos.backend', 'aiida.tools.archive', 'aiida_traincraft.exchange.imports'):
        import_module(module)
    main()
