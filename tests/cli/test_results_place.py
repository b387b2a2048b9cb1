"""Where the results of a campaign go that may come from an archive."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from aiida_traincraft.cli.run import _results_folder
from aiida_traincraft.report.results_folder import open_folder

UUID = 'a' * 36


def campaign_of(outdir, name='demo'):
    """What of a campaign's node names the place; a stand-in for the node."""
    inputs = SimpleNamespace(config={'run': {'outdir': str(outdir), 'name': name}})
    return SimpleNamespace(uuid=UUID, pk=7, inputs=inputs)


@pytest.fixture
def here(tmp_path, monkeypatch):
    folder = tmp_path / 'here'
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ('outdir', 'name'), [('/tmp/elsewhere', 'demo'), ('../..', 'demo'), ('../elsewhere', '../demo'), ('/', 'demo')]
)
def test_nothing_is_written_outside_the_current_folder(here, outdir, name):
    assert _results_folder(campaign_of(outdir, name)) == here / 'runs' / 'demo'


def test_a_place_below_is_taken_as_it_is(here):
    assert _results_folder(campaign_of('runs')) == here / 'runs' / 'demo'
    assert _results_folder(campaign_of('deep/er')) == here / 'deep' / 'er' / 'demo'


def test_where_run_has_begun_it_goes_on(here, tmp_path):
    begun = open_folder(tmp_path / 'elsewhere' / 'demo', UUID)
    assert _results_folder(campaign_of(tmp_path / 'elsewhere')) == begun
