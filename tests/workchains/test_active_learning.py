"""Whole campaigns on cells of four atoms, in this process: how they end, and what they leave.

Jobs that a campaign shares with the one before it (samples, fits) come from AiiDA's cache; labels never do.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching

from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.launch.campaign_builder import builder_from_config
from aiida_traincraft.provenance.campaign import summarise
from aiida_traincraft.science.config.loader import parse_campaign
from aiida_traincraft.workchains.base import MAX_TRIES

OUTPUTS = {'potential', 'dataset', 'test_set', 'ledger', 'errors'}


@pytest.fixture
def run_campaign(tiny_campaign, make_campaign_content) -> Callable[..., orm.WorkChainNode]:
    """Function that runs the tiny campaign with changes to its sections."""

    def run(**sections):
        content = make_campaign_content()
        for name, change in sections.items():
            content[name] = change if isinstance(change, list) else content[name] | change
        with enable_caching(identifier='aiida.calculations:traincraft.*'):
            _, node = run_get_node(builder_from_config(parse_campaign(content)))
        return node

    return run


def called(node: orm.WorkChainNode, name: str) -> list[orm.ProcessNode]:
    return [child for child in node.called_descendants if child.process_label == name]


def test_last_cycle(tiny_campaign):
    assert tiny_campaign.exit_status == 503
    assert tiny_campaign.exit_message == 'the last of 2 cycles is done'
    assert set(tiny_campaign.outputs) == OUTPUTS
    assert len(called(tiny_campaign, 'TrainWorkChain')) == 2
    # What is not trained on any more is not explored for.
    assert len(called(tiny_campaign, 'ExploreWorkChain')) == 1


def test_a_failed_label_is_tolerated_and_recorded(tiny_campaign):
    ledger = tiny_campaign.outputs.ledger
    failed = [row for row in ledger.rows if row.status == 'failed']
    assert failed
    assert all('overlap' in row.reason for row in failed)
    assert ledger.counts['labelled'] + len(failed) == ledger.counts['total']
    assert ledger.counts['total'] == 4 + 10 + 1 + len(called(tiny_campaign, 'ExploreWorkChain')) * 3


def test_every_label_has_one_structure_and_one_process(tiny_campaign):
    rows = tiny_campaign.outputs.ledger.rows
    assert len({row.structure for row in rows}) == len(rows)
    for row in rows:
        structure = orm.load_node(row.structure)
        assert isinstance(structure, TrainingStructureData)
        users = structure.base.links.get_outgoing(orm.CalcJobNode).all()
        assert [link.node.process_label for link in users].count('AseLabelCalculation') == 1
        if row.label is not None:
            label = orm.load_node(row.label)
            assert isinstance(label, LabelData)
            assert label.structure_fingerprint == row.fingerprint
            assert label.creator.process_label == 'AseLabelCalculation'


def test_the_test_set_is_never_trained_on(tiny_campaign):
    sealed = {row.structure for row in tiny_campaign.outputs.test_set.rows}
    assert len(sealed) == 4
    for training in called(tiny_campaign, 'TrainWorkChain'):
        rows = training.inputs.dataset.rows
        assert sealed.isdisjoint(row.structure for row in rows)
        assert {row.split for row in rows} == {'train', 'e0'}
        assert training.inputs.test_set.uuid == tiny_campaign.outputs.test_set.uuid


def test_the_dataset_grows_by_what_was_selected(tiny_campaign):
    first, second = sorted(called(tiny_campaign, 'TrainWorkChain'), key=lambda node: node.pk)
    (exploration,) = called(tiny_campaign, 'ExploreWorkChain')
    before, after = ([row.structure for row in node.inputs.dataset.rows] for node in (first, second))
    assert after[: len(before)] == before
    assert set(after[len(before) :]) <= set(exploration.outputs.manifest.fingerprints)
    assert len(after) > len(before)
    assert tiny_campaign.outputs.dataset.uuid == second.inputs.dataset.uuid
    assert tiny_campaign.outputs.dataset.e0['Cu'] == pytest.approx(3.51, abs=0.01)


@pytest.mark.slow
def test_a_killed_job_of_each_kind_changes_nothing(tiny_campaign, make_campaign_content, dying):
    code, killed = dying()
    builder = builder_from_config(parse_campaign(make_campaign_content()))
    builder.codes = {'ase': code, 'pace': code}
    _, node = run_get_node(builder)
    assert node.exit_status == 503, node.exit_message
    died = [job for job in node.called_descendants if job.exit_status == 300]
    assert killed() == ['evaluate', 'label', 'pace_activeset', 'pace_linear', 'sample']
    assert len(died) == 5
    assert node.outputs.dataset.digest == tiny_campaign.outputs.dataset.digest
    assert node.outputs.test_set.digest == tiny_campaign.outputs.test_set.digest
    assert len(summarise(node)['cycles']) == 2


@pytest.mark.slow
def test_jobs_that_always_die_end_the_campaign(make_campaign_content, python_code, localhost):
    builder = builder_from_config(parse_campaign(make_campaign_content()))
    code = orm.InstalledCode(localhost, '/bin/false', label='dies-always').store()
    builder.codes = {'ase': code, 'pace': python_code}
    _, node = run_get_node(builder)
    assert node.exit_status == 400
    assert len([job for job in node.called_descendants if job.exit_status == 300]) == 2 * MAX_TRIES


@pytest.mark.long
def test_the_same_config_gives_the_same_dataset(tiny_campaign, run_campaign):
    again = run_campaign()
    assert again.exit_status == 503
    assert again.outputs.dataset.digest == tiny_campaign.outputs.dataset.digest
    assert again.outputs.test_set.digest == tiny_campaign.outputs.test_set.digest
    assert [row.fingerprint for row in again.outputs.ledger.rows] == [
        row.fingerprint for row in tiny_campaign.outputs.ledger.rows
    ]


def test_target_reached(run_campaign):
    node = run_campaign(loop={'target_force_rmse': 1.0})
    assert node.is_finished_ok
    assert set(node.outputs) == OUTPUTS
    assert len(called(node, 'TrainWorkChain')) == 1


@pytest.mark.slow
def test_nothing_uncertain(run_campaign):
    sampling = {'type': 'md', 'temperature': 10.0, 'steps': 20, 'n': 1}
    node = run_campaign(
        exploration={'gamma_lo': 500.0, 'gamma_hi': 1000.0, 'sampling': sampling},
        loop={'max_cycles': 5, 'quiet_explorations': 1},
    )
    assert node.exit_status == 500
    assert 'nothing uncertain' in node.exit_message
    assert set(node.outputs) == OUTPUTS
    # The random share of that exploration is not labelled: nobody would train on it.
    assert len(called(node, 'LabelWorkChain')) == 2


@pytest.mark.slow
def test_no_gain(run_campaign):
    node = run_campaign(loop={'max_cycles': 5, 'patience': 1, 'min_gain': 0.9})
    assert node.exit_status == 501
    assert 'gained less than 90% in 1 cycles' in node.exit_message
    assert len(called(node, 'TrainWorkChain')) == 2


@pytest.mark.slow
def test_the_label_budget_is_kept_to_the_label(run_campaign):
    node = run_campaign(loop={'max_cycles': 9, 'max_labels': 17})
    assert node.exit_status == 502
    assert '17 of 17' in node.exit_message
    assert node.outputs.ledger.counts['total'] == 17
    # The last labels are trained on before the campaign stops.
    assert len(called(node, 'TrainWorkChain')) == 2
    assert len(node.outputs.dataset.rows) + 4 == node.outputs.ledger.counts['labelled']


def test_a_budget_that_the_first_structures_exceed(run_campaign):
    node = run_campaign(loop={'max_labels': 14})
    assert node.exit_status == 405
    assert 'max_labels is 14' in node.exit_message
    assert '15 labels' in node.exit_message
    assert not called(node, 'LabelWorkChain')


@pytest.mark.long
def test_explorations_that_select_nothing_come_to_an_end(run_campaign):
    node = run_campaign(
        selection={'stages': [{'type': 'uncertainty', 'lo': 1e8, 'hi': 1e9}]},
        exploration={'runs_per_system': 1},
        loop={'max_cycles': 5, 'quiet_explorations': 2},
    )
    assert node.exit_status == 500
    assert '2 explorations in a row' in node.exit_message
    reports = [child.outputs.report for child in called(node, 'ExploreWorkChain')]
    assert [report['n_selected'] for report in reports] == [0, 0]
    assert all(report['n_uncertain'] > 0 for report in reports)


@pytest.mark.long
def test_labels_that_always_fail_come_to_an_end(run_campaign):
    # The dynamics of the exploration press atoms together, and every such structure is refused.
    sampling = {'type': 'md', 'temperature': 3000.0, 'steps': 40, 'n': 1, 'timestep': 4.0, 'min_distance': 0.1}
    node = run_campaign(
        labelling={'max_failed_fraction': 1.0},
        exploration={'runs_per_system': 1, 'sampling': sampling, 'gamma_lo': 1.2, 'gamma_hi': 1e6},
        selection={'budget': 1, 'stages': [{'type': 'uncertainty'}, {'type': 'diversity', 'n': 1}]},
        loop={'max_cycles': 5, 'quiet_explorations': 2},
    )
    assert node.exit_status == 500
    assert len(called(node, 'TrainWorkChain')) == 1
    failed = list(node.outputs.ledger.rows[15:])
    assert [row.status for row in failed] == ['failed', 'failed']


def test_too_many_failed_labels(run_campaign):
    node = run_campaign(labelling={'max_failed_fraction': 0.05})
    assert node.exit_status == 401
    assert '1 of 11 labels failed, more than 5%' in node.exit_message
    assert 'overlap' in node.exit_message
    # What was labelled is not lost.
    assert node.outputs.ledger.counts['labelled'] == 14


def dense(name: str, a: float) -> dict:
    """A system whose atoms are far too close, sampled as it is."""
    cell = {'type': 'crystal', 'name': 'Cu', 'crystalstructure': 'fcc', 'a': a, 'cubic': True}
    sampling = {'type': 'rattle', 'n': 2, 'stdev': 0.01, 'min_distance': 0.0}
    return {'name': name, 'geometry': {'builder': cell}, 'sampling': sampling}


def test_nothing_physical_to_begin_with(run_campaign):
    node = run_campaign(systems=[dense('dense', 1.9)])
    assert node.exit_status == 404
    assert node.exit_message == 'No starting structure passed the physical checks.'


def test_nothing_physical_to_test_on(run_campaign):
    node = run_campaign(test_set={'systems': [dense('dense', 1.9)]})
    assert node.exit_status == 404
    assert node.exit_message == 'No test structure passed the physical checks.'


def test_a_system_that_cannot_be_sampled_is_named(run_campaign, make_campaign_content):
    hopeless = dense('hopeless', 1.5)
    hopeless['sampling']['min_distance'] = 0.6
    node = run_campaign(systems=[*make_campaign_content()['systems'], hopeless])
    assert node.exit_status == 400
    assert 'no frame of hopeless' in node.exit_message


def test_a_growing_dataset_is_trained_on_up_to_its_size(run_campaign, make_campaign_content):
    training = make_campaign_content()['training'] | {'active_set_size': 11}
    campaign = run_campaign(training=training)
    assert campaign.exit_status == 503
    used = []
    for fit in sorted(called(campaign, 'PaceLinearCalculation'), key=lambda node: node.pk):
        summary, count = fit.outputs.summary, fit.inputs.dataset.count('train')
        assert summary['n_structures'] + len(summary['left_out']) == count
        used.append((count, summary['n_structures']))
    # All at first, for there are not more.
    assert used[0][0] <= 11 < used[-1][0]
    assert all(trained == min(count, 11) for count, trained in used)
    assert campaign.outputs.dataset.count('train') == used[-1][0]
