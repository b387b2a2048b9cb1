"""A cutoff within which nothing is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiida_traincraft.science.campaign.preflight import Preflight
from aiida_traincraft.science.campaign.reach import check_reach
from aiida_traincraft.science.config.loader import parse_campaign

ALONE = {'source': {'type': 'file', 'path': 'alone.xyz'}}


@pytest.mark.parametrize(
    ('trainer', 'key', 'cutoff', 'n_issues'),
    # Nearest neighbours of the crystals are 2.69 Å and 2.72 Å away.
    [('pace_linear', 'cutoff', 5.0, 0), ('pace_linear', 'cutoff', 2.7, 1), ('mace', 'r_max', 2.0, 2)],
)
def test_a_system_without_neighbours(make_campaign_content, trainer, key, cutoff, n_issues):
    content = make_campaign_content()
    cell = {'type': 'crystal', 'name': 'Cu', 'crystalstructure': 'fcc', 'a': 3.8}
    content['systems'] = [content['systems'][0] | {'geometry': {'builder': cell}}]
    content['test_set']['systems'] = [content['test_set']['systems'][0] | {'geometry': {'builder': cell | {'a': 3.85}}}]
    content['training'] = {'type': trainer, key: cutoff}
    issues = check_reach(Preflight(parse_campaign(content), Path()))
    assert len(issues) == n_issues
    assert all(f'within its cutoff, {cutoff:g} Å: the nearest is 2.' in issue.message for issue in issues)


def test_an_atom_alone_is_no_fault(make_campaign_content, tmp_path):
    (tmp_path / 'alone.xyz').write_text('1\npbc="F F F"\nCu 0 0 0\n')
    content = make_campaign_content()
    content['systems'] = [content['systems'][0] | {'geometry': ALONE}]
    issues = check_reach(Preflight(parse_campaign(content, tmp_path), tmp_path))
    assert issues == []
