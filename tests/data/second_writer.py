"""Write in bulk while another connection holds SQLite's write lock for a second; run as a program of its own.

Arguments: an empty folder, a journal mode.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from aiida import orm
from ase.build import bulk

from aiida_traincraft.science.structure import Structure


def main() -> None:
    folder, mode = Path(sys.argv[1]), sys.argv[2]
    os.environ['AIIDA_PATH'] = str(folder)
    from aiida.manage.configuration import create_profile, get_config, load_profile

    config, storage = get_config(create=True), {'filepath': str(folder / 'storage')}
    create_profile(config, name='locked', email='a@b.c', storage_backend='core.sqlite_dos', storage_config=storage)
    load_profile('locked')
    database = folder / 'storage' / 'database.sqlite'
    with sqlite3.connect(database) as connection:
        assert connection.execute(f'PRAGMA journal_mode={mode}').fetchone() == (mode,)

    from aiida_traincraft.data.bulk import NewFrame, create_frames, link_inputs
    from aiida_traincraft.data.frames.structure import TrainingStructureData

    def frames() -> Iterator[NewFrame]:
        hold_the_lock(database)
        for index in range(3):
            structure = Structure(bulk('Cu', a=3.6 + 0.01 * index), {}, {'system': 'bulk'})
            yield NewFrame(TrainingStructureData, structure, f'structures__{index:06d}')

    maker, reader = (orm.CalcJobNode().store() for _ in range(2))
    stored = create_frames(maker, frames())
    hold_the_lock(database)
    link_inputs(reader, [frame.uuid for frame in stored], 'structures')
    print(len(maker.base.links.get_outgoing().all()), len(reader.base.links.get_incoming().all()))


def hold_the_lock(database: Path) -> None:
    """Hold it for a second from now on, and write."""
    held = threading.Event()

    def hold() -> None:
        connection = sqlite3.connect(database, isolation_level=None)
        connection.execute('BEGIN IMMEDIATE')
        connection.execute("UPDATE db_dbuser SET institution = institution || '.'")
        held.set()
        time.sleep(1.0)
        connection.execute('COMMIT')
        connection.close()

    threading.Thread(target=hold).start()
    assert held.wait(10)


if __name__ == '__main__':
    main()
