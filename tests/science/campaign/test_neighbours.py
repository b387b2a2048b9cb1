from __future__ import annotations

import pytest

from aiida_traincraft.science.campaign.geometries import check_neighbours
from aiida_traincraft.science.campaign.preflight import Preflight
from aiida_traincraft.science.config.loader import parse_campaign


@pytest.fixture
def issues(campaign_content, tmp_path):
    def find(**training):
        campaign_content['training'] |= training
        return check_neighbours(Preflight(parse_campaign(campaign_content), tmp_path))

    return find


@pytest.mark.parametrize(('cutoff', 'expected'), [(1.5, 1), (2.5, 1), (2.6, 0), (5.0, 0)])
def test_a_cutoff_within_the_shortest_bond_is_refused(issues, cutoff, expected):
    found = issues(cutoff=cutoff)
    assert len(found) == expected
    assert all('"bulk" without a neighbour: its shortest distance is 2.55 Å' in issue.message for issue in found)


def test_systems_of_isolated_atoms_and_the_test_set_may_be_without(issues, campaign_content):
    single = {'type': 'crystal', 'name': 'Cu', 'crystalstructure': 'fcc', 'a': 12.0, 'cubic': True}
    campaign_content['test_set']['systems'][0]['geometry'] = {'builder': single}
    assert not issues(cutoff=5.0)
    campaign_content['systems'][0]['geometry'] = {'builder': {'type': 'molecule', 'name': 'Cu'}}
    assert not issues(cutoff=5.0)


def test_the_cutoff_of_mace_is_that_of_a_layer(issues, campaign_content):
    campaign_content['training'] = {'type': 'mace'}
    assert len(issues(r_max=2.0)) == 1
    assert not issues(r_max=2.6)
