"""What is to be said of a campaign's potential: is a constant better, was an earlier one, and what is untested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida import orm

from aiida_traincraft.science.config.test_set import tested_system
from aiida_traincraft.science.scoring.constant import worse_than_constant
from aiida_traincraft.workchains.campaign_products import products

MEV = 1000.0


def judge(campaign: orm.WorkChainNode, cycles: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Verdict on what a campaign has made so far, as JSON.

    Parameters
    ----------
    campaign
        The campaign.
    cycles
        Those of its summary.

    Returns
    -------
    dict
        ``red``: whether a constant is better anywhere; ``worse_than_constant``: where, with ``potential`` "last" or
        "student" beside what :func:`~aiida_traincraft.science.scoring.constant.worse_than_constant` says;
        ``holes``: where the last potential draws atoms together that should repel, in words; ``untested_systems``:
        names of systems to train on without a label in the test set; ``last`` and ``best``: the last cycle with a
        scored potential, and the one with the smallest force error on the test set, each with the UUID of its
        ``potential``, ``force_rmse`` (eV/Å) and ``energy_rmse`` (eV/atom), None before the first.
    """
    made = products(campaign)
    scores = {'last': made.get('errors'), 'student': made.get('student_errors')}
    worse = [
        {'potential': which} | row
        for which, errors in scores.items()
        if isinstance(errors, orm.Dict)
        for row in worse_than_constant(errors.get_dict())
    ]
    config, untested = campaign.inputs.config.get_dict(), []
    if 'test_set' in made:
        found = covered_by(config, made['test_set'].base.attributes.get('systems', {}))
        untested = [system['name'] for system in config['systems'] if not found[system['name']]]
    scored = [_score(cycle) for cycle in cycles if cycle['errors']]
    return {
        'red': bool(worse),
        'worse_than_constant': worse,
        'holes': made['errors'].get_dict().get('holes', []) if isinstance(made.get('errors'), orm.Dict) else [],
        'untested_systems': untested,
        'last': scored[-1] if scored else None,
        # Of equals the last.
        'best': min(reversed(scored), key=lambda score: float(score['force_rmse']), default=None),
    }


def covered_by(config: Mapping[str, Any], tested: Mapping[str, int]) -> dict[str, list[str]]:
    """Systems of the test set that are of each system to train on, as far as they have a label.

    Parameters
    ----------
    config
        The campaign.
    tested
        Number of labels of the test set by their system.
    """
    found: dict[str, list[str]] = {system['name']: [] for system in config['systems']}
    for system in config['test_set']['systems']:
        if tested.get(system['name']):
            found.setdefault(tested_system(system['name'], system.get('of')), []).append(system['name'])
    return found


def statements(verdict: Mapping[str, Any]) -> list[str]:
    """A verdict in words, what is red first."""
    told = []
    for row in verdict['worse_than_constant']:
        unit = row['unit'].replace('eV', 'meV')
        factor = MEV if unit != row['unit'] else 1.0
        whose = '' if row['potential'] == 'last' else f' of the {row["potential"]}'
        where = 'the sealed test set' if row['system'] is None else f'{row["system"]} of the sealed test set'
        told.append(
            f'worse than a constant: {row["property"]}{whose}, {factor * row["rmse"]:.2f} {unit} on {where}, '
            f'where the mean of the labels errs by {factor * row["constant"]:.2f}'
        )
    told += [f'hole in the last potential: {hole}' for hole in verdict['holes']]
    if verdict['untested_systems']:
        names = ', '.join(verdict['untested_systems'])
        told.append(f'without a label in the test set, so that no error tells of them: {names}')
    best, last = verdict['best'], verdict['last']
    if best is None:
        return told
    if best['cycle'] == last['cycle']:
        told.append(f'best cycle on the sealed test set: {best["cycle"]}, the last; potential {best["potential"]}')
    else:
        told.append(
            f'cycle {best["cycle"]} was better on the sealed test set than the last: {MEV * best["force_rmse"]:.2f} '
            f'against {MEV * last["force_rmse"]:.2f} meV/Å; potential {best["potential"]}, the last is '
            f'{last["potential"]}. The result is the last; who chooses by the test set has no independent figure left'
        )
    return told


def _score(cycle: Mapping[str, Any]) -> dict[str, Any]:
    return {
        'cycle': cycle['cycle'],
        'potential': cycle['uuids']['potential'],
        'force_rmse': cycle['errors']['forces']['rmse'],
        'energy_rmse': cycle['errors']['energy']['rmse'],
    }
