from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import calcfunction
from aiida.engine.processes import Process

from aiida_traincraft.data import bulk
from aiida_traincraft.data.bulk import NewFrame, create_frames, link_inputs
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.data.reading import read_structures

pytestmark = pytest.mark.usefixtures('aiida_profile')


@pytest.fixture
def process():
    node = orm.CalcJobNode().store()
    yield node
    node.seal()


def both(frames):
    for index, frame in enumerate(frames):
        yield NewFrame(TrainingStructureData, frame, f'structures__{index:06d}')
        yield NewFrame(LabelData, frame, f'labels__{index:06d}')


def test_twins_made_in_bulk_and_one_by_one_agree(process, copper_frames):
    stored = create_frames(process, both(copper_frames[:3]))
    for index, frame in enumerate(copper_frames[:3]):
        for bulk_made, twin in (
            (orm.load_node(stored[2 * index].uuid), TrainingStructureData(frame).store()),
            (orm.load_node(stored[2 * index + 1].uuid), LabelData(frame).store()),
        ):
            assert type(bulk_made) is type(twin)
            place = {'offset', 'nbytes'}
            assert {k: v for k, v in bulk_made.base.attributes.all.items() if k not in place} == {
                k: v for k, v in twin.base.attributes.all.items() if k not in place
            }
            assert bulk_made.label == twin.label == bulk_made.fingerprint
            assert bulk_made.base.caching.get_hash() == twin.base.caching.get_hash()
            assert bulk_made.base.caching.get_hash() == bulk_made.base.caching.compute_hash()
            assert str(bulk_made) == str(twin)
            assert np.array_equal(bulk_made.get_structure().atoms.positions, twin.get_structure().atoms.positions)


def test_links_and_reading_back(process, copper_frames):
    stored = create_frames(process, both(copper_frames))
    outgoing = process.base.links.get_outgoing(link_type=LinkType.CREATE).all()
    assert {link.link_label for link in outgoing} == {
        f'{kind}__{index:06d}' for kind in ('structures', 'labels') for index in range(len(copper_frames))
    }
    labels = read_structures([frame.uuid for frame in stored[1::2]])
    for frame, back in zip(copper_frames, labels, strict=True):
        assert back.properties['energy'] == frame.properties['energy']
        assert np.array_equal(back.properties['forces'], frame.properties['forces'])
    assert 'forces' not in read_structures([stored[0].uuid])[0].properties
    assert orm.load_node(stored[0].uuid).creator.pk == process.pk


def test_chunks_are_stored_whole_or_not_at_all(process, copper_frames, monkeypatch):
    monkeypatch.setattr(bulk, 'NODES_PER_TRANSACTION', 4)
    broken = copper_frames[5].copy()
    broken.properties['forces'][0, 0] = np.nan
    frames = [*copper_frames[:5], broken]
    with pytest.raises(ValueError, match='not finite'):
        create_frames(process, (NewFrame(LabelData, frame, f'labels__{i}') for i, frame in enumerate(frames)))
    assert len(process.base.links.get_outgoing().all()) == 4


def test_a_link_label_is_used_once(process, copper_frames):
    first = create_frames(process, [NewFrame(LabelData, copper_frames[0], 'label')])
    assert create_frames(process, [NewFrame(LabelData, copper_frames[0], 'label')]) == first
    with pytest.raises(ValueError, match="an output 'label' already"):
        create_frames(process, [NewFrame(LabelData, copper_frames[1], 'label')])


def test_only_running_calculations_get_outputs(copper_frames):
    frames = [NewFrame(LabelData, copper_frames[0], 'label')]
    with pytest.raises(ValueError, match='only calculations'):
        create_frames(orm.WorkChainNode().store(), frames)
    sealed = orm.CalcJobNode().store()
    sealed.seal()
    with pytest.raises(ValueError, match='still running'):
        create_frames(sealed, frames)


def test_inputs_are_linked_once(process, copper_frames):
    uuids = [TrainingStructureData(frame).store().uuid for frame in copper_frames[:3]]
    link_inputs(process, uuids, 'structures')
    link_inputs(process, uuids, 'structures')
    links = process.base.links.get_incoming(link_type=LinkType.INPUT_CALC).all()
    assert [(link.link_label, link.node.uuid) for link in sorted(links, key=lambda link: link.link_label)] == [
        (f'structures__{index:06d}', uuid) for index, uuid in enumerate(uuids)
    ]
    with pytest.raises(ValueError, match='not in the database'):
        link_inputs(process, ['00000000-0000-0000-0000-000000000000'], 'others')


def test_inside_a_running_calcfunction(copper_frames):
    @calcfunction
    def make():
        stored = create_frames(Process.current().node, both(copper_frames[:2]))
        return orm.List([frame.uuid for frame in stored])

    result, node = make.run_get_node()
    assert node.is_finished_ok
    assert node.is_sealed
    assert not node.base.caching.is_valid_cache
    assert node.outputs.structures['000000'].uuid == result.get_list()[0]


@pytest.mark.parametrize('mode', ['delete', 'wal'])
def test_another_writer_is_waited_for(tmp_path, mode):
    program = Path(__file__).with_name('second_writer.py')
    done = subprocess.run(
        [sys.executable, program, tmp_path, mode],
        check=False,
        env=os.environ | {'AIIDA_PATH': str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ['3', '3']
