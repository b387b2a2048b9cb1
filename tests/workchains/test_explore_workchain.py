from __future__ import annotations

import pytest
from aiida import orm

from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.data.ledger import LedgerData, LedgerRow
from aiida_traincraft.data.potentials.pace import PacePotentialData


@pytest.fixture(scope='module')
def explore_inputs(active_set, copper_dataset):
    """Inputs of an exploration of the copper dataset."""
    rows = [LedgerRow(row.label, row.structure, 'ok', label=row.label) for row in copper_dataset.rows]
    return {
        'potential': active_set.outputs.potential,
        'dataset': copper_dataset,
        'ledger': LedgerData(rows).store(),
        'descriptors': active_set.outputs.descriptors,
        'seed': orm.Int(4),
        'budget': orm.Int(3),
    }


@pytest.fixture(scope='module')
def explored(run_workchain, make_campaign_content, explore_inputs) -> orm.WorkChainNode:
    """Three runs of hot dynamics in two jobs."""
    content = make_campaign_content()
    content['exploration'] |= {'runs_per_system': 3, 'gamma_lo': 1.1, 'gamma_hi': 20.0}
    content['exploration']['sampling'] |= {'temperature': 1500.0, 'strain': 0.08}
    node = run_workchain('traincraft.explore', content, **explore_inputs)
    assert node.is_finished_ok, node.exit_message
    return node


def test_runs_are_shared_out_to_the_jobs(explored):
    jobs = [child for child in explored.called_descendants if child.process_label == 'SampleCalculation']
    assert sorted(len(job.inputs.parameters['runs']) for job in jobs) == [1, 2]
    assert len(list(explored.outputs.frames)) == len(list(explored.outputs.summaries)) == 2
    seeds = [run['seed'] for job in jobs for run in job.inputs.parameters['runs']]
    assert len(set(seeds)) == 3


def test_frames_carry_uncertainty(explored):
    for name in explored.outputs.frames:
        assert explored.outputs.frames[name].max_uncertainty > 1.1


def test_selection_within_the_budget(explored, explore_inputs):
    report = explored.outputs.report.get_dict()
    assert report['n_selected'] == len(explored.outputs.manifest) == 3
    assert report['n_uncertain'] >= 2
    assert report['n_candidates'] == sum(frames.n_frames for frames in explored.outputs.frames.values())
    assert [stage['stage'] for stage in report['stages']][:2] == ['physicality', 'dedup']
    known = {row.fingerprint for row in explore_inputs['ledger'].rows}
    assert known.isdisjoint(explored.outputs.manifest.fingerprints)


def test_a_selected_structure_says_why(explored):
    nodes = [orm.load_node(uuid) for uuid in explored.outputs.manifest.uuids]
    assert all(isinstance(node, TrainingStructureData) for node in nodes)
    facts = [node.get_structure().provenance for node in nodes]
    assert {fact['selected_by'] for fact in facts} <= {'random', 'diversity'}
    assert all(fact['sampler'] == 'md' and fact['system'] == 'bulk' for fact in facts)
    assert all('uncertainty' in fact for fact in facts)
    assert {node.creator.process_label for node in nodes} == {'select_structures'}


def test_a_calm_exploration_selects_only_at_random(run_workchain, campaign_content, explore_inputs):
    campaign_content['exploration'] |= {'gamma_lo': 50.0, 'gamma_hi': 100.0, 'runs_per_system': 1}
    campaign_content['exploration']['sampling'] |= {'temperature': 30.0, 'strain': 0.0}
    node = run_workchain('traincraft.explore', campaign_content, **explore_inputs)
    assert node.is_finished_ok, node.exit_message
    report = node.outputs.report.get_dict()
    assert report['n_uncertain'] == 0
    assert {row['stage'] for row in report['stages'] if row['picked']} == {'random'}


def test_no_structure_to_start_from(run_workchain, campaign_content, explore_inputs):
    campaign_content['systems'][0]['name'] = 'unheard'
    node = run_workchain('traincraft.explore', campaign_content, **explore_inputs)
    assert node.exit_status == 400
    assert 'no structure of the systems' in node.exit_message


def test_an_active_set_that_says_nothing_and_selects_nothing_is_an_error(
    run_workchain, make_campaign_content, explore_inputs, tmp_path
):
    before = explore_inputs['potential']
    before.write_files(tmp_path)
    files = {name: tmp_path / f'potential.{name}' for name in ('yaml', 'yace', 'asi')}
    potential = PacePotentialData(**files, e0=before.e0, cutoff=before.cutoff, degenerate=True).store()
    content = make_campaign_content()
    content['exploration'] |= {'runs_per_system': 1}
    content['selection'] = {'budget': 3, 'stages': [{'type': 'force_cap', 'max_force': 1e-9}]}
    node = run_workchain('traincraft.explore', content, **explore_inputs | {'potential': potential})
    assert node.exit_status == 401
    assert 'the active set is degenerate' in node.exit_message
