"""Labels of structures that were labelled before."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import numpy as np
import pytest
from aiida import orm
from ase.build import bulk

from aiida_traincraft.data.bulk import NewFrame, create_frames
from aiida_traincraft.data.frames import label
from aiida_traincraft.data.frames.label import LabelData, find_label
from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.science.structure import Structure

pytestmark = pytest.mark.usefixtures('aiida_profile')


@pytest.fixture
def level() -> str:
    """A level of theory that no other test has labels of."""
    return uuid4().hex


@pytest.fixture
def frames() -> Callable[[int, str], list[Structure]]:
    def make(number: int, level: str) -> list[Structure]:
        rng = np.random.default_rng(5)
        made = []
        for _ in range(number):
            atoms = bulk('Cu')
            atoms.positions += rng.normal(scale=0.5, size=(1, 3))
            made.append(Structure(atoms, {'energy': 1.0, 'forces': np.zeros((1, 3))}, {'level_of_theory': level}))
        return made

    return make


def store(frames: list[Structure], exit_status: int | None = 0, state: str = 'finished') -> list[str]:
    process = orm.CalcJobNode().store()
    stored = create_frames(process, [NewFrame(LabelData, f, f'labels__{i:06d}') for i, f in enumerate(frames)])
    process.set_process_state(state)
    process.set_exit_status(exit_status)
    process.seal()
    return [frame.uuid for frame in stored]


def test_two_thousand_labels_are_found_at_their_level_only(frames, level):
    structures = frames(2000, level)
    fingerprints = [structure.content_hash() for structure in structures]
    uuids = store(structures)
    store(frames(20, f'another than {level}'))
    assert find_label(fingerprints, level) == dict(zip(fingerprints, uuids, strict=True))
    assert len(find_label(fingerprints, f'another than {level}')) == 20
    assert find_label(fingerprints, f'none like {level}') == {}


def test_more_structures_than_one_query_takes(frames, level, monkeypatch):
    monkeypatch.setattr(label, 'QUERY_CHUNK', 4)
    structures = frames(10, level)
    fingerprints = [structure.content_hash() for structure in structures]
    uuids = store(structures)
    assert find_label(fingerprints, level) == dict(zip(fingerprints, uuids, strict=True))


def test_only_what_is_asked_for(frames, level):
    structures = frames(3, level)
    store(structures)
    assert list(find_label([structures[1].content_hash(), 'of no structure'], level)) == [structures[1].content_hash()]
    assert find_label([], level) == {}


def test_the_newest_of_several(frames, level):
    (structure,) = frames(1, level)
    store([structure])
    newest = store([structure])
    assert find_label([structure.content_hash()], level) == {structure.content_hash(): newest[0]}


@pytest.mark.parametrize(('exit_status', 'state'), [(400, 'finished'), (None, 'killed'), (None, 'excepted')])
def test_a_good_label_of_a_job_that_failed_counts(frames, level, exit_status, state):
    (structure,) = frames(1, level)
    (uuid,) = store([structure], exit_status, state)
    assert find_label([structure.content_hash()], level) == {structure.content_hash(): uuid}


def test_labels_that_no_process_made_and_bare_structures_do_not_count(frames, level):
    (structure,) = frames(1, level)
    LabelData(structure).store()
    TrainingStructureData(structure).store()
    assert find_label([structure.content_hash()], level) == {}
