from __future__ import annotations

import pytest

from aiida_traincraft.science.campaign.stopping import decide
from aiida_traincraft.science.config.loop import LoopConfig

FALLING = [0.1, 0.05, 0.025]


def reason(forces, labels=10, quiet=0, energies=None, **loop):
    stop = decide(LoopConfig.model_validate(loop), forces, energies or [0.01] * len(forces), labels, quiet)
    return None if stop is None else stop.reason


def test_goes_on():
    assert reason(FALLING) is None


@pytest.mark.parametrize(('target', 'expected'), [(0.025, 'target'), (0.0249, None), (1.0, 'target')])
def test_force_target(target, expected):
    assert reason(FALLING, target_force_rmse=target) == expected


@pytest.mark.parametrize(
    ('force', 'energy', 'expected'),
    [(0.03, 0.02, 'target'), (0.03, 0.005, None), (0.01, 0.02, None), (None, 0.02, 'target'), (None, None, None)],
)
def test_both_targets_must_hold(force, energy, expected):
    assert reason(FALLING, target_force_rmse=force, target_energy_rmse=energy) == expected


def test_a_target_waits_for_the_first_cycles():
    assert reason(FALLING, target_force_rmse=1.0, min_cycles=4) is None
    assert reason([*FALLING, 0.02], target_force_rmse=1.0, min_cycles=4) == 'target'


def test_only_the_last_error_counts_for_the_target():
    assert reason([0.1, 0.01, 0.05], target_force_rmse=0.02) is None


@pytest.mark.parametrize(('quiet', 'expected'), [(0, None), (1, None), (2, 'quiet'), (3, 'quiet')])
def test_quiet(quiet, expected):
    assert reason(FALLING, quiet=quiet, quiet_explorations=2) == expected


@pytest.mark.parametrize(
    ('errors', 'expected'),
    [
        ([0.1], None),
        ([0.1, 0.1], None),
        ([0.1, 0.1, 0.1], 'plateau'),
        ([0.1, 0.05, 0.05], None),
        ([0.1, 0.05, 0.05, 0.05], 'plateau'),
        # Falls that are too small one by one do not add up unless they pass the mark below the best.
        ([0.1, 0.099, 0.0985], 'plateau'),
        ([0.1, 0.099, 0.0979], None),
        # Worse than before, then a little better than ever: no gain.
        ([0.1, 0.2, 0.099], 'plateau'),
    ],
)
def test_plateau(errors, expected):
    assert reason(errors, patience=2, min_gain=0.02) == expected


def test_exactly_the_gain_is_no_gain():
    assert reason([1.0, 0.5], patience=1, min_gain=0.5) == 'plateau'
    assert reason([1.0, 0.499], patience=1, min_gain=0.5) is None


def test_a_plateau_waits_for_the_first_cycles():
    assert reason([0.1] * 4, patience=1, min_cycles=5) is None
    assert reason([0.1] * 5, patience=1, min_cycles=5) == 'plateau'


@pytest.mark.parametrize(('labels', 'expected'), [(19, None), (20, 'labels'), (21, 'labels')])
def test_label_budget(labels, expected):
    assert reason(FALLING, labels=labels, max_labels=20) == expected


@pytest.mark.parametrize(('cycles', 'expected'), [(4, None), (3, 'cycles'), (2, 'cycles')])
def test_cycles(cycles, expected):
    assert reason(FALLING, max_cycles=cycles) == expected


def test_criteria_are_looked_for_in_order():
    everything = {
        'target_force_rmse': 1.0,
        'quiet_explorations': 1,
        'patience': 1,
        'max_labels': 1,
        'max_cycles': 2,
    }
    found = []
    for criterion in ('target_force_rmse', 'quiet_explorations', 'patience', 'max_labels', 'max_cycles'):
        found.append(reason([0.1, 0.1], quiet=1, **everything))
        everything.pop(criterion)
        if criterion == 'quiet_explorations':
            everything['quiet_explorations'] = 2
        if criterion == 'patience':
            everything['patience'] = 9
    assert found == ['target', 'quiet', 'plateau', 'labels', 'cycles']


def test_messages_hold_the_figures():
    loop = LoopConfig(target_force_rmse=0.03, max_labels=5, max_cycles=7)
    assert '0.0250 eV/Å (target 0.03)' in decide(loop, FALLING, [0.01] * 3, 1, 0).message
    assert '6 of 5' in decide(loop, [0.5], [0.1], 6, 0).message
    assert 'last of 3 cycles' in decide(LoopConfig(max_cycles=3), FALLING, [0.01] * 3, 1, 0).message
