from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_traincraft.data.frames.pool import FramesData

RATTLE = {'type': 'rattle', 'n': 3, 'stdev': 0.05, 'strain': 0.02}
MD = {'type': 'md', 'temperature': 400.0, 'steps': 30, 'n': 3, 'timestep': 4.0}
NO_WATCH = {'calculator': None, 'watch': None}


@pytest.fixture(scope='module')
def sampled(run_job, store_structures, copper_frames) -> orm.CalcJobNode:
    """Two rattles with one seed, one with another, and molecular dynamics with EMT."""
    runs = [{'start': 0, 'sampler': RATTLE, 'seed': seed} for seed in (5, 5, 6)]
    runs.append({'start': 1, 'sampler': MD, 'seed': 5})
    parameters = {'runs': runs, 'calculator': {'type': 'emt'}, 'watch': None}
    node = run_job('traincraft.sample', parameters, starts=store_structures(copper_frames[:2]))
    assert node.is_finished_ok, node.exit_message
    return node


@pytest.fixture(scope='module')
def explored(run_job, active_set, copper_frames) -> orm.CalcJobNode:
    """A calm run, and a hot one that leaves what the potential knows."""
    calm = MD | {'temperature': 50.0, 'steps': 20, 'n': 1}
    hot = MD | {'temperature': 4000.0, 'steps': 300, 'n': 1, 'min_distance': 0.1}
    runs = [{'start': 0, 'sampler': calm, 'seed': 1}, {'start': 1, 'sampler': hot, 'seed': 2}]
    watch = {'lo': 1.5, 'hi': 4.0, 'check_interval': 5, 'record_interval': 10}
    starts = FramesData([frame.bare() for frame in copper_frames[:2]]).store()
    node = run_job(
        'traincraft.sample',
        {'runs': runs, 'calculator': None, 'watch': watch},
        starts=starts,
        potential=active_set.outputs.potential,
    )
    assert node.is_finished_ok, node.exit_message
    return node


def test_frames_of_all_runs_are_one_node(sampled):
    frames = sampled.outputs.frames.get_frames()
    assert [frame.provenance['run'] for frame in frames] == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert [run['end'] for run in sampled.outputs.summary['runs']] == ['finished'] * 4
    assert {frame.provenance['sampler'] for frame in frames} == {'rattle', 'md'}
    assert {frame.provenance['system'] for frame in frames} == {'bulk'}
    assert sampled.outputs.frames.max_uncertainty is None


def test_the_seed_decides(sampled):
    hashes = [frame.content_hash() for frame in sampled.outputs.frames.get_frames()]
    assert hashes[0:3] == hashes[3:6]
    assert set(hashes[0:3]).isdisjoint(hashes[6:9])


def test_starts_of_a_manifest_are_linked(sampled):
    links = sampled.base.links.get_incoming(link_type=LinkType.INPUT_CALC).all()
    members = {link.link_label: link.node.uuid for link in links if link.link_label.startswith('members__')}
    assert [members['members__000000'], members['members__000001']] == sampled.inputs.starts.uuids


def test_exploration_halts_where_the_potential_is_lost(explored):
    calm, hot = explored.outputs.summary['runs']
    assert calm['end'] == 'finished'
    assert hot['end'] == 'halted'
    assert hot['steps'] < 300
    assert hot['max_uncertainty'] > 4.0 > calm['max_uncertainty']


def test_uncertainties_are_kept_with_the_frames(explored):
    node = explored.outputs.frames
    frames = node.get_frames()
    expected = [frame.properties['uncertainty'].max() for frame in frames]
    np.testing.assert_allclose(node.uncertainty, expected)
    assert node.max_uncertainty == pytest.approx(max(expected))
    assert frames[-1].provenance['run'] == 1
    assert expected[-1] == pytest.approx(explored.outputs.summary['runs'][1]['max_uncertainty'])


def test_frames_carry_what_the_selection_needs(explored, active_set):
    width = active_set.outputs.descriptors.get_array('descriptors').shape[1]
    for frame in explored.outputs.frames.get_frames():
        assert frame.properties['descriptor'].shape == (width,)
        beyond = frame.properties.get('active.Cu')
        assert (beyond is not None) == (frame.properties['uncertainty'].max() > 1.0)
        if beyond is not None:
            assert np.abs(beyond).max() == pytest.approx(frame.properties['uncertainty'].max(), rel=1e-6)


def test_gamma_agrees_with_the_potential_node(explored, active_set):
    frame = explored.outputs.frames.get_frames()[-1]
    calculator = active_set.outputs.potential.get_calculator()
    np.testing.assert_allclose(calculator.gamma(frame.atoms), frame.properties['uncertainty'], rtol=1e-6)


def test_a_potential_without_active_set_cannot_be_watched(run_job, linear_fit, copper_frames):
    node = run_job(
        'traincraft.sample',
        {
            'runs': [{'start': 0, 'sampler': MD, 'seed': 1}],
            'calculator': None,
            'watch': {'lo': 1.5, 'hi': 4.0, 'check_interval': 5, 'record_interval': 10},
        },
        starts=FramesData([copper_frames[0].bare()]),
        potential=linear_fit.outputs.potential,
    )
    assert node.exit_status == node.process_class.exit_codes.ERROR_BAD_INPUT.status
    assert 'no uncertainty' in node.exit_message


def test_runs_that_keep_no_frame_say_how_they_ended(run_job, copper_frames):
    frame = copper_frames[0].bare()
    frame.atoms.positions[1] = frame.atoms.positions[0] + [0.0, 0.0, 0.4]
    parameters = {'runs': [{'start': 0, 'sampler': MD, 'seed': 1}], 'calculator': {'type': 'emt'}, 'watch': None}
    node = run_job('traincraft.sample', parameters, starts=FramesData([frame]))
    assert node.exit_status == node.process_class.exit_codes.ERROR_NOTHING_PRODUCED.status
    assert 'broken' in node.exit_message
    assert 'frames' not in node.outputs


def test_a_start_that_is_not_there(run_job, copper_frames):
    node = run_job(
        'traincraft.sample',
        {'runs': [{'start': 7, 'sampler': RATTLE, 'seed': 1}], **NO_WATCH},
        starts=FramesData([copper_frames[0].bare()]),
    )
    assert node.exit_status == node.process_class.exit_codes.ERROR_BAD_INPUT.status
    assert 'structure 7, but there are 1' in node.exit_message
