"""Campaign files with anything changed are valid or refused in clean words: no other exception, and no hanging."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from mutated_campaigns import campaign_files

from aiida_traincraft.science.campaign.checks import CHECKS
from aiida_traincraft.science.campaign.preflight import Preflight, examine
from aiida_traincraft.science.campaign.systems import all_systems
from aiida_traincraft.science.config.loader import load_campaign
from aiida_traincraft.science.errors import ConfigError

HANGS = 30.0
"""Seconds of the processor; the slowest valid ones take two."""
LONGEST = 20_000
EVERYTHING = {'deadline': None, 'suppress_health_check': list(HealthCheck)}


def refusal(path):
    """What ``traincraft validate --without-profile`` says against a file; None if nothing."""
    try:
        config = load_campaign(path)
        if any(system.geometry.is_fetched for _, system in all_systems(config)):
            return None
        issues = examine(Preflight(config, path.parent), CHECKS)
        return ConfigError(issues, path.name) if issues else None
    except ConfigError as error:
        return error


def check(content):
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'campaign.toml'
        path.write_bytes(content)
        if (error := refusal(path)) is not None:
            assert error.issues
            assert all(issue.path and issue.message for issue in error.issues)
            text = str(error)
            # A terminal, a file and a database take it.
            assert text.replace('\n', '').isprintable()
            assert len(text.encode()) < LONGEST
        assert [entry.name for entry in Path(folder).iterdir()] == ['campaign.toml']
    assert time.process_time() - started < HANGS


@settings(max_examples=100, derandomize=True, **EVERYTHING)
@given(campaign_files())
def test_a_hundred_mutated_campaigns(content):
    check(content)


@pytest.mark.long
@settings(max_examples=10_000, **EVERYTHING)
@given(campaign_files())
def test_ten_thousand_mutated_campaigns(content):
    check(content)
