from __future__ import annotations

import json

import pytest
from aiida import orm
from aiida.manage.caching import enable_caching

from aiida_traincraft import __version__
from aiida_traincraft.science import registry
from aiida_traincraft.science.config.loader import load_campaign
from aiida_traincraft.science.geometry import build_geometry
from aiida_traincraft.science.workspace import Workspace


def test_help_and_version(traincraft):
    assert __version__ in traincraft('--version').output
    output = traincraft('-h').output
    for command in ('setup', 'run', 'watch', 'resume', 'train', 'status', 'why', 'plugins'):
        assert command in output


def test_plugins_by_kind(traincraft):
    result = traincraft('plugins')
    assert result.exit_code == 0
    for plugin in registry.plugins():
        (line,) = [
            line
            for line in result.output.splitlines()
            if line.replace('│', ' ').split()[:2] == [plugin.kind, plugin.name]
        ]
        assert plugin.summary.split()[0] in line


def test_keys_of_a_plugin_with_their_units(traincraft):
    output = traincraft('plugins', '--keys', 'mace').output
    assert 'r_max' in output
    assert 'Radial cutoff (Å).' in output
    assert '[64, 64, 64]' in output
    refused = traincraft('plugins', '--keys', 'maze')
    assert refused.exit_code != 0
    assert "no plugin is called 'maze'" in refused.output


def test_plugins_of_a_file(traincraft, tmp_path):
    (tmp_path / 'mine.py').write_text(
        'from typing import Literal\n'
        'from aiida_traincraft.science.config.kinds import TransformConfig\n'
        'from aiida_traincraft.science.registry import register\n\n\n'
        'class MineConfig(TransformConfig):\n'
        "    type: Literal['mine_of_the_cli'] = 'mine_of_the_cli'\n\n\n"
        "@register('transform', 'mine_of_the_cli', MineConfig)\n"
        'def mine(structure, config, rng):\n'
        '    """Dig."""\n'
        '    return structure\n'
    )
    output = traincraft('plugins', 'mine.py').output
    assert 'mine_of_the_cli' in output
    assert 'Dig.' in output


def test_setup_twice(traincraft, localhost):
    first = traincraft('setup')
    assert first.exit_code == 0, first.output
    before = orm.QueryBuilder().append(orm.Node).count()
    second = traincraft('setup')
    assert orm.QueryBuilder().append(orm.Node).count() == before
    for role in ('ase', 'pace'):
        assert f'traincraft-{role}: ' in first.output
        (line,) = [line for line in second.output.splitlines() if f'traincraft-{role}: ' in line]
        assert line.endswith('(there already)')
    # This environment has no tensorpotential: the user is told where to get it.
    assert 'code traincraft-pacemaker: not found' in second.output
    assert 'lacks' in second.output
    assert 'make setup-pace' in second.output


def test_status_of_all_campaigns(traincraft, tiny_campaign):
    result = traincraft('status')
    assert result.exit_code == 0, result.output
    lines = [line for line in result.output.splitlines() if f' {tiny_campaign.pk} ' in line]
    assert len(lines) == 1
    assert 'tiny' in lines[0]
    assert 'finished' in lines[0]


def test_status_of_one_campaign_shows_failed_labels(traincraft, tiny_campaign):
    result = traincraft('status', tiny_campaign.pk)
    assert result.exit_code == 0, result.output
    counts = tiny_campaign.outputs.ledger.counts
    assert f'labels {counts["labelled"]} ok, {counts["failed"]} failed' in result.output
    assert 'the last of 2 cycles is done' in result.output
    for row in tiny_campaign.outputs.ledger.rows:
        if row.label is None:
            assert f'failed: structure {row.structure[:8]}, {row.reason}' in result.output
    rmse = 1000 * tiny_campaign.outputs.errors['overall']['forces']['rmse']
    assert f'{rmse:.2f}' in result.output


def test_why(traincraft, tiny_campaign):
    result = traincraft('why', tiny_campaign.outputs.potential.uuid)
    assert result.exit_code == 0, result.output
    for words in (
        "campaign config 'tiny', seed 3",
        'code python@localhost',
        'level of theory',
        'AseLabelCalculation',
        'PaceActivesetCalculation',
        'of bulk',
    ):
        assert words in result.output


def test_why_goes_as_deep_as_asked(traincraft, tiny_campaign):
    shallow, deep = (traincraft('why', tiny_campaign.outputs.potential.pk, '--depth', n).output for n in (1, 8))
    assert len(shallow.splitlines()) < len(deep.splitlines())
    assert 'made by select_structures' not in shallow
    assert 'made by select_structures' in deep


def test_watch_and_resume_of_an_ended_campaign(traincraft, tiny_campaign, tmp_path):
    for command in ('watch', 'resume'):
        result = traincraft(command, tiny_campaign.pk)
        # 503 is how this campaign was meant to end.
        assert result.exit_code == 0, result.output
        assert 'stopped: the last of 2 cycles is done' in result.output
    summary = json.loads((tmp_path / 'runs' / 'tiny' / 'summary.json').read_text())
    assert summary['uuids']['campaign'] == tiny_campaign.uuid


@pytest.mark.usefixtures('tiny_campaign')
def test_run_in_process(traincraft, campaign_file, campaign_content, tmp_path):
    campaign_content['run'] |= {'name': 'inside', 'outdir': 'elsewhere'}
    campaign_content['loop']['target_force_rmse'] = 1.0
    with enable_caching(identifier='aiida.calculations:traincraft.*'):
        result = traincraft('run', campaign_file(campaign_content), '--in-process')
    assert result.exit_code == 0, result.output
    assert 'stopped: the test error reached its target' in result.output
    assert 'campaign inside' in result.output
    folder = tmp_path / 'elsewhere' / 'inside'
    assert str(folder) in result.output
    assert json.loads((folder / 'summary.json').read_text())['exit_status'] == 0
    assert (folder / 'potential.yace').is_file()


def test_a_source_file_travels_with_the_campaign(traincraft, campaign_file, campaign_content, copper_frames, tmp_path):
    """The config names a file beside it; the stored campaign needs that file no more."""
    (tmp_path / 'cells').mkdir()
    copper_frames[1].atoms.write(tmp_path / 'cells' / 'cell.xyz', format='extxyz')
    campaign_content['run']['name'] = 'from-file'
    campaign_content['systems'][0]['geometry'] = {'source': {'type': 'file', 'path': 'cells/cell.xyz'}}
    # All labels of the first batch would have to be good: the campaign ends there, which is enough here.
    campaign_content['labelling'] |= {'min_distance': 3.0, 'max_failed_fraction': 0.0}
    result = traincraft('run', campaign_file(campaign_content), '--in-process')
    assert result.exit_code == 1
    assert 'labels failed' in result.output
    campaign = orm.QueryBuilder().append(orm.WorkChainNode, filters={'label': 'from-file'}).first(flat=True)
    assert campaign.exit_status == 401
    assert campaign.inputs.config['systems'][0]['geometry']['source']['path'] == 'file_000/cell.xyz'
    assert campaign.inputs.files.file_000.filename == 'cell.xyz'
    (build,) = [child for child in campaign.called if child.process_label == 'build_structures']
    assert build.outputs.systems.get_frames()[0].content_hash() == copper_frames[1].content_hash()
    # The results hold the file under the name that their config gives it.
    again = load_campaign(tmp_path / 'runs' / 'from-file' / 'campaign.toml')
    start = build_geometry(again.systems[0].geometry, Workspace(tmp_path / 'runs' / 'from-file'))
    assert start.content_hash() == copper_frames[1].content_hash()
