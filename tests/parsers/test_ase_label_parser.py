from __future__ import annotations

import json

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_traincraft.data import bulk
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.science.structure import write_frames


@pytest.fixture
def finished(make_job, store_structures, copper_frames, tmp_path):
    """Function that makes a job whose labels lie in ``tmp_path``; ``change`` may spoil them before."""

    def make(change=lambda frames, rows: None):
        frames = [frame.copy() for frame in copper_frames[:3]]
        for frame in frames:
            frame.provenance.pop('level_of_theory')
        rows = [{'index': index, 'status': 'ok', 'reason': None} for index in range(3)]
        inputs = {
            'structures': store_structures(copper_frames[:3]),
            'level_of_theory': LevelOfTheoryData.get_or_create({'type': 'ase', 'calculator': {'type': 'emt'}}),
            'parameters': orm.Dict({'calculator': {'type': 'emt'}}),
        }
        change(frames, rows)
        write_frames(tmp_path / 'labels.frames', frames)
        result = {'status': 'ok', 'rows': rows, 'seconds': 1.0, 'versions': {'ase': '3'}}
        return make_job('ase_label', inputs, {'result.json': json.dumps(result)})

    return make


def labels(node):
    links = node.base.links.get_outgoing(node_class=LabelData, link_type=LinkType.CREATE).all()
    return {link.link_label: link.node.uuid for link in links}


def test_parsing_twice_makes_no_second_label(finished, parse, tmp_path):
    node = finished()
    first = parse(node, tmp_path)
    assert first.status == 0
    made = labels(node)
    assert sorted(made) == ['labels__000000', 'labels__000001', 'labels__000002']
    second = parse(node, tmp_path)
    assert labels(node) == made
    assert second.outputs['manifest'].uuids == first.outputs['manifest'].uuids
    assert second.outputs['ledger'].rows == first.outputs['ledger'].rows


def test_a_parser_killed_half_way_is_finished_later(finished, parse, tmp_path, monkeypatch):
    node = finished()
    monkeypatch.setattr(bulk, 'NODES_PER_TRANSACTION', 2)
    store = bulk._store_chunk

    def killed(process, chunk, made):
        if any(label.startswith('labels__') for label in made):
            raise KeyboardInterrupt
        return store(process, chunk, made)

    monkeypatch.setattr(bulk, '_store_chunk', killed)
    with pytest.raises(KeyboardInterrupt):
        parse(node, tmp_path)
    before = labels(node)
    assert len(before) == 2
    monkeypatch.setattr(bulk, '_store_chunk', store)
    assert parse(node, tmp_path).status == 0
    assert len(labels(node)) == 3
    assert before.items() <= labels(node).items()


def test_truncated_labels(finished, parse, tmp_path):
    node = finished()
    content = (tmp_path / 'labels.frames').read_bytes()
    (tmp_path / 'labels.frames').write_bytes(content[:-10])
    parsed = parse(node, tmp_path)
    assert parsed.status == 303
    assert 'truncated' in parsed.message
    assert not labels(node)


def test_missing_labels(finished, parse, tmp_path):
    node = finished()
    (tmp_path / 'labels.frames').unlink()
    assert parse(node, tmp_path).status == 303


def test_rows_that_do_not_match_the_structures(finished, parse, tmp_path):
    def forget(frames, rows):
        del frames[1], rows[1]

    parsed = parse(finished(forget), tmp_path)
    assert parsed.status == 303
    assert '2 rows for 3 structures' in parsed.message


def test_fewer_labels_than_good_rows(finished, parse, tmp_path):
    assert parse(finished(lambda frames, rows: frames.pop()), tmp_path).status == 303


def test_a_label_of_another_geometry_is_refused(finished, parse, tmp_path):
    def move(frames, rows):
        frames[1].atoms.positions[0, 0] += 0.01

    parsed = parse(finished(move), tmp_path)
    assert parsed.status == 0
    rows = parsed.outputs['ledger'].rows
    assert [row.status for row in rows] == ['ok', 'failed', 'ok']
    assert 'not the one that was sent' in rows[1].reason


def test_numbers_that_are_not_finite_are_refused(finished, parse, tmp_path):
    def spoil(frames, rows):
        frames[2].properties['forces'][0, 0] = np.inf

    parsed = parse(finished(spoil), tmp_path)
    assert [row.status for row in parsed.outputs['ledger'].rows] == ['ok', 'ok', 'failed']
    assert len(parsed.outputs['manifest']) == 2
    assert 'not finite' in parsed.outputs['ledger'].rows[2].reason
