"""``traincraft retry-failed`` on a campaign that ended over its first labels."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import tomli_w
from aiida import orm
from aiida.engine import ProcessState, run_get_node

from aiida_traincraft.launch.campaign_builder import builder_from_config
from aiida_traincraft.provenance.retries import failed_rows, ledgers, level_change, retries
from aiida_traincraft.science.config.loader import parse_campaign
from aiida_traincraft.workchains.active_learning import ActiveLearningWorkChain

NAME = 'failing'


@pytest.fixture(scope='module')
def content(make_campaign_content) -> dict[str, Any]:
    """A campaign with a structure that the teacher refuses, which ends it."""
    made: dict[str, Any] = make_campaign_content()
    made['run']['name'] = NAME
    made['labelling']['max_failed_fraction'] = 0.0
    return made


@pytest.fixture(scope='module')
def campaign(content, python_code) -> orm.WorkChainNode:
    """The campaign, ended."""
    builder = builder_from_config(parse_campaign(copy.deepcopy(content)))
    _, node = run_get_node(builder)
    assert not node.is_finished_ok
    return node


@pytest.fixture
def more_tolerant(content, tmp_path) -> str:
    """Campaign file that takes closer atoms."""
    changed = copy.deepcopy(content)
    changed['labelling']['min_distance'] = 0.5
    (tmp_path / 'tolerant.toml').write_text(tomli_w.dumps(changed))
    return 'tolerant.toml'


def test_unknown_campaign(refused):
    assert "no campaign 'nobody'" in refused('retry-failed', 'nobody')


def test_a_file_that_is_not_there(refused):
    assert 'does not exist' in refused('retry-failed', NAME, '--with', 'gone.toml')


def test_a_campaign_that_still_runs(refused, aiida_profile):
    node = orm.WorkChainNode(process_type=ActiveLearningWorkChain.build_process_type(), label='running')
    node.set_process_state(ProcessState.WAITING)
    node.store()
    output = refused('retry-failed', 'running')
    assert f"campaign 'running' <{node.pk}> is still running" in output
    assert f'verdi process kill {node.pk}' in output
    # Later tests find no campaign that runs.
    node.set_process_state(ProcessState.KILLED)


@pytest.mark.slow
def test_another_level_of_theory(refused, campaign, content, tmp_path):
    changed = copy.deepcopy(content)
    changed['labelling']['calculator'] = {'type': 'lennard_jones', 'sigma': 2.3, 'epsilon': 0.4, 'rc': 6.0}
    (tmp_path / 'another.toml').write_text(tomli_w.dumps(changed))
    output = refused('retry-failed', NAME, '--with', 'another.toml')
    assert 'another.toml are of another level of theory, and the campaign would not find them' in output
    assert 'calculator.type is "emt" (the campaign) and "lennard_jones" (the retry)' in output
    assert 'calculator.epsilon is absent (the campaign) and 0.4 (the retry)' in output
    by_dft = {'config': {'labelling': {'type': 'quantumespresso'}}}
    assert level_change(campaign, by_dft) == 'type is "ase" (the campaign) and "quantumespresso" (the retry)'
    assert level_change(campaign, campaign.inputs) == ''


@pytest.mark.slow
def test_what_failed_is_sent_again_and_nothing_else(traincraft, campaign, more_tolerant):
    failed = failed_rows(campaign)
    sent = sum(ledger.counts['total'] for ledger in ledgers(campaign))
    assert 0 < len(failed) < sent
    assert {row.status for row in failed} == {'failed'}
    (reason,) = {row.reason for row in failed}
    assert reason in traincraft('status', NAME).output

    # The same section again: the same end, and more is not said of it.
    again = traincraft('retry-failed', NAME, '--in-process')
    assert again.exit_code == 1
    assert f'{len(failed)} structures are labelled once more' in again.output
    assert f'0 of {len(failed)} labelled now' in again.output
    assert f'{len(failed)} failed again: {reason}' in again.output

    result = traincraft('retry-failed', NAME, '--in-process', '--with', more_tolerant)
    assert result.exit_code == 0, result.output
    assert f'{len(failed)} of {len(failed)} labelled now' in result.output
    assert 'traincraft run FILE' in result.output

    first, second = retries(campaign)
    assert first.label == second.label == f'retry of {NAME}'
    for retry in (first, second):
        assert retry.is_finished_ok
        assert retry.inputs.structures.uuids == [row.structure for row in failed]
        assert retry.inputs.structures.fingerprints == [row.fingerprint for row in failed]
    assert first.outputs.ledger.counts['labelled'] == 0
    assert second.inputs.config['labelling']['min_distance'] == 0.5
    labels = [orm.load_node(uuid) for uuid in second.outputs.manifest.uuids]
    assert [label.structure_fingerprint for label in labels] == [row.fingerprint for row in failed]
    # The graph of the campaign itself stays as it was.
    assert failed_rows(campaign) == []
    assert len(ledgers(campaign)) == 2 + sum('ledger' in child.outputs for child in campaign.called)

    status = traincraft('status', NAME).output
    assert f'retry <{first.pk}>: label ledger: 0 of {len(failed)} labelled, {len(failed)} failed' in status
    assert f'retry <{second.pk}>: label ledger: {len(failed)} of {len(failed)} labelled, 0 failed' in status
    assert f'structure {failed[0].structure[:8]}' not in status

    before = orm.QueryBuilder().append(orm.Node).count()
    nothing = traincraft('retry-failed', campaign.pk, '--in-process')
    assert nothing.exit_code == 0
    assert nothing.output.strip() == 'nothing failed'
    assert orm.QueryBuilder().append(orm.Node).count() == before
