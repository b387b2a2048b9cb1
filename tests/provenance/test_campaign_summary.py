from __future__ import annotations

import json

import pytest
from aiida import orm

from aiida_traincraft.provenance.campaign import children, jobs, ledger_counts, progress, stop_message, summarise


@pytest.fixture(scope='module')
def summary(tiny_campaign):
    return summarise(tiny_campaign)


def test_progress_of_an_ended_campaign(tiny_campaign):
    where = progress(tiny_campaign)
    assert (where.state, where.cycle, where.stage) == ('finished', 2, '-')
    assert where.jobs_running == 0
    assert where.jobs_done == len(jobs(tiny_campaign))
    assert where.labels['total'] == tiny_campaign.outputs.ledger.counts['total']
    assert where.labels['failed'] == sum(where.reasons.values()) > 0
    assert where.errors == tiny_campaign.outputs.errors['overall']
    assert where.message == stop_message(tiny_campaign) == 'the last of 2 cycles is done'


def test_progress_of_a_campaign_that_has_just_begun(aiida_profile):
    node = orm.WorkChainNode()
    node.set_process_state('created')
    node.store()
    where = progress(node)
    assert (where.state, where.cycle, where.stage, where.jobs_done) == ('created', 0, 'build', 0)
    assert set(where.labels.values()) == {0}
    assert where.errors is None
    assert where.message == ''


def test_children_by_key(tiny_campaign):
    keys = list(children(tiny_campaign))
    assert keys[0] == 'build_structures'
    assert [key for key in keys if key.startswith('train_')] == ['train_001', 'train_002']
    assert keys[-2:] == ['train_002', 'calibrate_002']


def test_labels_spent_before_each_training(tiny_campaign, summary):
    first, second = summary['cycles']
    assert first['labels']['total'] == 15
    assert second['labels']['total'] == 18 == ledger_counts(children(tiny_campaign))[0]['total']
    assert second['training_set'] > first['training_set']
    assert first['labels']['labelled'] == first['training_set'] + 4 + 1


def test_what_each_cycle_saw(tiny_campaign, summary):
    first, second = summary['cycles']
    exploration = children(tiny_campaign)['explore_001']
    report = exploration.outputs.report.get_dict()
    assert first['candidates'] == report['n_candidates']
    assert first['selected'] == report['n_selected'] == 3
    assert first['uncertain'] == report['n_uncertain']
    assert first['funnel'] == report['stages']
    assert first['max_uncertainty'] == max(frames.max_uncertainty for frames in exploration.outputs.frames.values())
    assert (second['candidates'], second['selected'], second['max_uncertainty']) == (0, 0, None)


def test_verdict_on_the_potential(tiny_campaign, summary):
    verdict = summary['verdict']
    scores = [(cycle['errors']['forces']['rmse'], cycle['cycle']) for cycle in summary['cycles']]
    assert (verdict['best']['force_rmse'], verdict['best']['cycle']) == min(scores)
    assert (verdict['last']['force_rmse'], verdict['last']['cycle']) == scores[-1]
    assert verdict['last']['potential'] == tiny_campaign.outputs.potential.uuid
    # "hot" says of no system that it tests it.
    assert verdict['untested_systems'] == ['bulk']
    assert verdict['red'] == bool(verdict['worse_than_constant'])


def test_errors_and_time(tiny_campaign, summary):
    assert summary['cycles'][-1]['errors'] == tiny_campaign.outputs.errors['overall']
    assert summary['seconds_in_codes'] > 0
    assert sum(cycle['seconds_in_codes'] for cycle in summary['cycles']) < summary['seconds_in_codes'] + 0.5
    assert all(0 < cycle['seconds_in_codes'] < cycle['seconds'] * 2 for cycle in summary['cycles'])
    # Every job reports its time, evaluations too.
    assert all('summary' in job.outputs for job in jobs(tiny_campaign))


def test_what_is_named_has_its_uuid(tiny_campaign, summary):
    uuids = summary['uuids']
    assert uuids['campaign'] == tiny_campaign.uuid
    for name in ('config', 'potential', 'dataset', 'test_set', 'ledger', 'errors'):
        assert orm.load_node(uuids[name])
    assert summary['cycles'][-1]['uuids']['potential'] == uuids['potential']
    assert summary['dataset_digest'] == tiny_campaign.outputs.dataset.digest
    assert summary['exit_status'] == 503
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
