"""Checks of a campaign that need no database."""

from __future__ import annotations

import pytest

from aiida_traincraft.science.config.campaign import CampaignConfig, parse_campaign
from aiida_traincraft.workchains.builder import check_sampling

MD = {'type': 'md', 'temperature': 300.0}
RATTLE = {'type': 'rattle'}


@pytest.fixture
def parsed(campaign_content):
    def parse(sampling, test_sampling, **sections) -> CampaignConfig:
        first = campaign_content['systems'][0]
        campaign_content['systems'] = [first, first | {'name': 'second', 'sampling': sampling}]
        campaign_content['test_set']['systems'][0]['sampling'] = test_sampling
        return parse_campaign(campaign_content | sections)

    return parse


def test_dft_gives_no_forces_to_draw_the_first_structures_with(parsed):
    labelling = {'type': 'quantumespresso', 'pseudo_family': 'any'}
    issues = check_sampling(parsed(MD, MD, labelling=labelling))
    assert [issue.path for issue in issues] == ['systems[1].sampling', 'test_set.systems[0].sampling']
    for issue in issues:
        assert issue.message == (
            '"md" needs forces before there is a potential, and labelling by "quantumespresso" gives none cheaply: '
            'use "rattle" (for the test set too)'
        )
    assert check_sampling(parsed(RATTLE, RATTLE, labelling=labelling)) == []


def test_a_teacher_draws_them(parsed):
    assert check_sampling(parsed(MD, MD)) == []
