"""CONTRIBUTING's promise: a labeller, trainer and explorer of another package, found by entry points alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

THIRD_PARTY = Path(__file__).parents[1] / 'third_party'


@pytest.fixture(scope='module')
def facts(tmp_path_factory) -> dict[str, Any]:
    """What a campaign of theirs came to, in a process that finds their package; its jobs inherit the path."""
    folder = tmp_path_factory.mktemp('third_party')
    path = os.pathsep.join(filter(None, (str(THIRD_PARTY), os.environ.get('PYTHONPATH'))))
    environment = os.environ | {'AIIDA_PATH': str(folder), 'OMP_NUM_THREADS': '1', 'PYTHONPATH': path}
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', THIRD_PARTY / 'campaign.py', folder],
        check=False,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=3000,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_their_plugins_are_listed(facts):
    assert facts['plugins']['status'] == 0
    rows = [line.split() for line in facts['plugins']['output'].splitlines() if 'traincraft_pairs' in line]
    found = {(row[0], row[1]) for row in rows}
    assert found == {('calculator', 'morse'), ('labeller', 'pairs'), ('trainer', 'morse'), ('explorer', 'shake')}


def test_their_checks_and_ours_make_one_list(facts):
    assert facts['faulty']['status'] == 1
    head, *issues = facts['faulty']['output'].splitlines()
    assert head == 'Error: faulty.toml: 6 errors'
    ours = ['codes.ase.code: there is no code', 'test_set: elements that no system trains: Kr']
    theirs = [
        'labelling.depth.Xe: no system has Xe',
        'labelling.depth: give that of Kr too',
        'training.type: a Morse potential is for one element, not for Ar, Kr',
        'exploration.amplitude: 2.0 Å breaks every bond: at most 0.47 Å',
    ]
    assert [issue.strip()[: len(start)] for issue, start in zip(issues, ours + theirs, strict=True)] == ours + theirs


def test_a_section_without_workchain_is_refused_before_anything_is_stored(facts):
    assert facts['orphan']['status'] == 1
    output = facts['orphan']['output']
    assert "labelling.type: 'orphan' is registered, but its WorkChain cannot be loaded" in output
    assert 'the entry point \'traincraft.label.orphan\' in the group "aiida.workflows"' in output
    assert facts['stored'] == 0


def test_their_campaign_ends_as_its_config_says(facts):
    assert facts['good']['status'] == 0
    assert 'valid; 2 systems' in facts['good']['output']
    assert facts['exit_status'] == 503, facts['exit_message']
    assert facts['cycles'] == 2
    assert facts['labels'] == {'train': 6, 'e0': 1}


def test_their_processes_did_the_work(facts):
    ours = {f'aiida.workflows:traincraft.{name}' for name in ('label', 'train', 'explore')}
    theirs = {f'aiida.workflows:traincraft.{name}' for name in ('label.pairs', 'train.morse', 'explore.shake')}
    called = {name for name in facts['called'] if name.startswith('aiida.workflows:')}
    assert called == ours | theirs
    assert facts['fit'] == ['fit_morse', 'aiida.workflows:traincraft.train.morse']


def test_their_hooks_complete_what_is_stored(facts):
    config = facts['config']
    assert config['labelling']['distance'] == {'Ar': 3.76}
    assert config['training']['start_distance'] == 3.76
    assert config['exploration']['amplitude'] == pytest.approx(0.094)


def test_labels_carry_their_level_of_theory(facts):
    assert facts['level_of_theory'] == {'type': 'pairs', 'depth': {'Ar': 0.0123}, 'distance': {'Ar': 3.76}}


def test_our_jobs_score_and_run_their_potential(facts):
    assert facts['potential']['type'] == 'morse'
    assert facts['potential']['depth'] == pytest.approx(0.0123, rel=0.2)
    assert facts['potential']['distance'] == pytest.approx(3.76, rel=0.03)
    # Of the standard deviation of the labels: a Morse potential is nearly a Lennard-Jones one.
    assert 0 < facts['force_error'] < 0.15
    assert facts['driven'] == {'exit_status': 0, 'frames': 2}


def test_results_hold_what_their_potential_is(facts):
    assert {'morse.json', 'report.html', 'summary.json', 'dataset.extxyz'} <= set(facts['results'])
