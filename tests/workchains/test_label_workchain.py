from __future__ import annotations

import sys
from pathlib import Path

import pytest
from aiida import orm

from aiida_traincraft.calculations.ase_label import AseLabelCalculation
from aiida_traincraft.data.frames.label import LabelData


@pytest.fixture
def campaign_content(make_campaign_content):
    """Only real overlaps are refused here."""
    content = make_campaign_content()
    content['labelling']['min_distance'] = 0.5
    return content


@pytest.fixture
def frames(copper_frames):
    """Five structures; the second has overlapping atoms."""
    found = [frame.bare() for frame in copper_frames[:5]]
    found[1].atoms.positions[1] = found[1].atoms.positions[0] + [0.0, 0.0, 0.3]
    return found


def jobs(node: orm.WorkChainNode) -> list[orm.CalcJobNode]:
    found = [child for child in node.called_descendants if child.process_class is AseLabelCalculation]
    return sorted(found, key=lambda job: job.pk)


def test_batches_are_merged_and_a_failure_is_tolerated(run_workchain, store_structures, campaign_content, frames):
    campaign_content['labelling'] |= {'batch_size': 2, 'max_failed_fraction': 0.25}
    manifest = store_structures(frames)
    node = run_workchain('traincraft.label', campaign_content, structures=manifest)
    assert node.is_finished_ok, node.exit_message
    assert [len(job.inputs.structures) for job in jobs(node)] == [2, 2, 1]
    ledger = node.outputs.ledger
    assert [row.structure for row in ledger.rows] == manifest.uuids
    assert [row.status for row in ledger.rows] == ['ok', 'failed', 'ok', 'ok', 'ok']
    assert node.outputs.manifest.uuids == [row.label for row in ledger.rows if row.label]
    expected = [frame.content_hash() for index, frame in enumerate(frames) if index != 1]
    assert [orm.load_node(uuid).structure_fingerprint for uuid in node.outputs.manifest.uuids] == expected
    assert len({job.inputs.level_of_theory.pk for job in jobs(node)}) == 1


def test_at_most_max_concurrent_batches_at_a_time(run_workchain, store_structures, campaign_content, copper_frames):
    campaign_content['labelling']['batch_size'] = 1
    campaign_content['run']['max_concurrent'] = 2
    node = run_workchain('traincraft.label.ase', campaign_content, structures=store_structures(copper_frames[5:8]))
    first, second, third = jobs(node)
    # The third began only when the two before it had ended.
    assert third.ctime > max(first.mtime, second.mtime)
    assert second.ctime < first.mtime
    assert len(node.outputs.manifest) == 3


def test_too_many_failures_end_with_the_counts(run_workchain, store_structures, campaign_content, frames):
    campaign_content['labelling']['max_failed_fraction'] = 0.1
    node = run_workchain('traincraft.label', campaign_content, structures=store_structures(frames))
    assert node.exit_status == 410
    assert '1 of 5 labels failed, more than 10%' in node.exit_message
    assert 'overlap' in node.exit_message
    # What succeeded is not lost.
    assert node.outputs.ledger.counts['labelled'] == 4
    assert len(node.outputs.manifest) == 4


def test_of_many_reasons_a_few_are_told(run_workchain, store_structures, campaign_content, copper_frames):
    campaign_content['labelling'] |= {'min_distance': 1.5, 'max_failed_fraction': 0.5}
    node = run_workchain('traincraft.label', campaign_content, structures=store_structures(copper_frames[:8]))
    assert node.exit_status == 410
    assert '8 of 8 labels failed' in node.exit_message
    assert len(node.outputs.ledger.reasons) > 4
    assert node.exit_message.count('overlap') == 3
    assert 'further reasons' in node.exit_message


def test_one_batch_needs_no_merging(run_workchain, store_structures, campaign_content, copper_frames):
    node = run_workchain('traincraft.label', campaign_content, structures=store_structures(copper_frames[:2]))
    (job,) = jobs(node)
    assert node.outputs.manifest.creator.pk == job.pk
    labels = [orm.load_node(uuid) for uuid in node.outputs.manifest.uuids]
    assert all(isinstance(label, LabelData) and label.creator.pk == job.pk for label in labels)
    assert 'merge' not in {child.process_label for child in node.called_descendants}


def test_a_batch_that_fails_as_a_whole(run_workchain, store_structures, campaign_content, copper_frames, bare_python):
    computer = orm.load_computer('localhost')
    code = orm.InstalledCode(computer, str(bare_python), label='bare').store()
    node = run_workchain(
        'traincraft.label', campaign_content, structures=store_structures(copper_frames[:1]), codes={'ase': code}
    )
    assert node.exit_status == 400
    assert 'a package is missing' in node.exit_message.lower()
    assert not list(node.outputs)


def test_a_batch_whose_job_is_killed_is_tried_again(
    run_workchain, store_structures, campaign_content, copper_frames, localhost, tmp_path
):
    """An interpreter that the scheduler kills the first time."""
    script = tmp_path / 'python'
    script.write_text(
        f'#!/bin/sh\nif mkdir "{tmp_path}/killed" 2>/dev/null; then kill -9 $$; fi\nexec "{sys.executable}" "$@"\n'
    )
    script.chmod(0o755)
    code = orm.InstalledCode(localhost, str(script), label='killed-once').store()
    campaign_content['labelling']['batch_size'] = 1
    node = run_workchain(
        'traincraft.label', campaign_content, structures=store_structures(copper_frames[:2]), codes={'ase': code}
    )
    assert node.is_finished_ok, node.exit_message
    assert sorted(job.exit_status for job in jobs(node)) == [0, 0, 300]
    assert node.outputs.ledger.counts['labelled'] == len(node.outputs.manifest) == 2


@pytest.fixture
def deadly(monkeypatch, campaign_content, copper_frames):
    """Function that makes a labelling whose teacher does something to its own process at the third of five."""
    here = Path(__file__).parent
    monkeypatch.chdir(here)
    frames = sorted((frame.bare() for frame in copper_frames[10:15]), key=lambda frame: frame.atoms.get_volume())
    largest = (frames[3].atoms.get_volume() + frames[4].atoms.get_volume()) / 2
    frames = [frames[index] for index in (0, 1, 4, 2, 3)]

    def make(deed, **labelling):
        teacher = {'type': 'deadly_emt', 'deed': deed, 'largest': largest}
        campaign_content['labelling'] |= {'calculator': teacher, 'max_failed_fraction': 0.5} | labelling
        campaign_content['run']['plugins'] = ['deadly_emt.py']
        return campaign_content, frames, {'plugins': {'deadly_emt': orm.SinglefileData(here / 'deadly_emt.py').store()}}

    return make


@pytest.mark.parametrize('deed', ['abort'])
def test_a_structure_that_ends_its_process_is_one_failed_row(run_workchain, store_structures, deadly, deed):
    content, frames, inputs = deadly(deed)
    node = run_workchain('traincraft.label', content, structures=store_structures(frames), **inputs)
    assert node.is_finished_ok, node.exit_message
    assert [row.status for row in node.outputs.ledger.rows] == ['ok', 'ok', 'failed', 'ok', 'ok']
    assert 'its process died' in node.outputs.ledger.rows[2].reason
    assert [orm.load_node(uuid).structure_fingerprint for uuid in node.outputs.manifest.uuids] == [
        frame.content_hash() for index, frame in enumerate(frames) if index != 2
    ]
    # Nothing that was labelled is labelled again.
    assert [len(job.inputs.structures) for job in jobs(node)] == [5, 1, 2]


def test_a_structure_that_hangs_is_one_failed_row(run_workchain, store_structures, deadly):
    content, frames, inputs = deadly('hang')
    content['codes']['ase']['max_wallclock_seconds'] = 12
    node = run_workchain('traincraft.label', content, structures=store_structures(frames), **inputs)
    assert node.is_finished_ok, node.exit_message
    assert [row.status for row in node.outputs.ledger.rows] == ['ok', 'ok', 'failed', 'ok', 'ok']
    assert 'the 12 s of the job were over, in File' in node.outputs.ledger.rows[2].reason
    assert 'plugin_deadly_emt.py' in node.outputs.ledger.rows[2].reason


def test_when_too_many_end_their_process_the_others_are_skipped(run_workchain, store_structures, deadly):
    content, frames, inputs = deadly('exit', batch_size=3, max_failed_fraction=0.1)
    content['run']['max_concurrent'] = 1
    node = run_workchain('traincraft.label', content, structures=store_structures(frames), **inputs)
    assert node.exit_status == 410
    assert [row.status for row in node.outputs.ledger.rows] == ['ok', 'ok', 'failed', 'skipped', 'skipped']
    assert len(node.outputs.manifest) == 2
