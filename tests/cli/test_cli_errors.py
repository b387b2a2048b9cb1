"""What a user can do wrong: one screen that names the cause and the remedy, exit status not 0, nothing stored."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from aiida import orm
from sqlalchemy import create_engine, text


@pytest.fixture
def run(refused, campaign_file, python_code):
    """Function that tries to run a campaign and returns what the user reads."""
    return lambda content, *options: refused('run', campaign_file(content), *options)


def test_missing_config(refused):
    output = refused('run', 'nowhere.toml')
    assert 'nowhere.toml: no such file' in output


def test_config_that_is_no_toml(refused, tmp_path):
    (tmp_path / 'broken.toml').write_text('[run\nname = ')
    assert 'not valid TOML' in refused('run', 'broken.toml')


def test_a_typo_is_met_with_a_suggestion(run, campaign_content):
    campaign_content['exploration']['sampling']['temperatur'] = 300.0
    output = run(campaign_content)
    assert 'exploration.sampling.temperatur: unknown key' in output
    assert "did you mean 'temperature'?" in output


def test_an_unknown_plugin_is_met_with_a_suggestion(run, campaign_content):
    campaign_content['labelling']['calculator']['type'] = 'emd'
    output = run(campaign_content)
    assert 'labelling.calculator.type' in output
    assert "'emt'" in output


def test_all_errors_at_once(run, campaign_content):
    campaign_content['loop']['max_cycles'] = 'many'
    campaign_content['selection']['budgt'] = 3
    del campaign_content['run']['name']
    output = run(campaign_content)
    assert '3 errors' in output
    for path in ('loop.max_cycles', 'selection.budgt', 'run.name'):
        assert path in output


def test_missing_source_file(run, campaign_content):
    campaign_content['systems'][0]['geometry'] = {'source': {'type': 'file', 'path': 'structures/gone.cif'}}
    output = run(campaign_content)
    assert 'systems[0].geometry' in output
    assert 'gone.cif' in output


def test_an_element_that_the_teacher_lacks(run, campaign_content):
    campaign_content['systems'][0]['geometry']['builder'] |= {'name': 'Fe', 'crystalstructure': 'bcc', 'a': 2.9}
    output = run(campaign_content)
    assert 'labelling.calculator' in output
    assert 'Fe' in output
    assert 'Cu' in output
    assert 'systems[0]' in output


RECORDED = Path(__file__).parents[1] / 'recorded' / 'pace_train' / 'finished' / 'potential.yaml'


def test_a_damaged_teacher(run, campaign_content, tmp_path):
    cut = tmp_path / 'cut.yaml'
    cut.write_bytes(RECORDED.read_bytes()[:-300])
    campaign_content['labelling']['calculator'] = {'type': 'pace', 'potential': str(cut), 'e0': {'Cu': 0.0}}
    output = run(campaign_content)
    assert 'labelling.calculator: potential cut.yaml cannot be read' in output


def test_a_teacher_that_no_job_would_find(run, campaign_content):
    table = {'type': 'mace', 'model': ['/models/a.model', 'b.model']}
    campaign_content['labelling']['calculator'] = table
    output = run(campaign_content)
    assert "labelling.calculator.model: 'b.model' is relative" in output


def test_a_test_set_of_elements_that_nobody_trains(run, campaign_content):
    campaign_content['test_set']['systems'][0]['geometry']['builder'] |= {'name': 'Ag', 'a': 4.1}
    assert 'test_set: elements that no system trains: Ag' in run(campaign_content)


def test_no_code(run, campaign_content):
    campaign_content['codes']['pace']['code'] = 'nowhere@localhost'
    output = run(campaign_content)
    assert 'codes.pace.code' in output
    assert "'nowhere@localhost'" in output
    assert 'traincraft setup' in output


def test_python_ace_is_not_installed(run, campaign_content, localhost, bare_python):
    orm.InstalledCode(localhost, str(bare_python), label='without-pace').store()
    campaign_content['codes']['pace']['code'] = 'without-pace@localhost'
    output = run(campaign_content)
    assert 'without-pace@localhost' in output
    assert 'pyace' in output
    assert 'pip install "ase>=' in output
    assert '"python-ace>=' in output


def test_an_interpreter_that_is_gone(run, campaign_content, localhost, tmp_path):
    orm.InstalledCode(localhost, str(tmp_path / 'gone' / 'python'), label='gone').store()
    campaign_content['codes']['ase']['code'] = 'gone@localhost'
    output = run(campaign_content)
    assert 'gone@localhost' in output
    assert 'does not run' in output


def test_a_plugin_file_that_is_missing(run, campaign_content):
    campaign_content['run']['plugins'] = ['mine.py']
    output = run(campaign_content)
    assert 'run.plugins' in output
    assert 'mine.py' in output


@pytest.mark.parametrize(
    ('kind', 'given', 'meant'),
    [('labelling', 'qe', 'quantumespresso'), ('training', 'PaceMaker', 'pace'), ('exploration', 'asee', 'ase')],
)
def test_a_type_that_goes_by_another_name(run, campaign_content, kind, given, meant):
    campaign_content[kind]['type'] = given
    assert f'{kind}.type: no ' in (output := run(campaign_content))
    assert f'did you mean {meant!r}?' in output


@pytest.mark.parametrize('name', ['6', '20261129', '2cc58cc9', 'DEADBEEF-01'])
def test_a_name_that_would_be_read_as_a_node(run, campaign_content, name):
    campaign_content['run']['name'] = name
    assert 'run.name: commands that take a campaign would read this as a PK or UUID' in run(campaign_content)


def test_an_element_that_is_none(run, campaign_content):
    campaign_content['systems'][0]['geometry']['builder']['name'] = 'cu'
    assert "'cu' is no element and no formula of elements; did you mean 'Cu'?" in run(campaign_content)


def test_an_impossible_combination(run, campaign_content):
    campaign_content['exploration'] |= {'gamma_lo': 9.0, 'gamma_hi': 3.0}
    output = run(campaign_content)
    assert '"gamma_lo" (9.0) must be below "gamma_hi" (3.0)' in output


@pytest.mark.parametrize('command', ['status', 'watch', 'resume'])
def test_unknown_campaign(refused, command):
    assert "no campaign 'nobody'" in refused(command, 'nobody')


def test_a_node_that_is_no_campaign(refused, copper_dataset):
    assert 'is no campaign' in refused('status', copper_dataset.pk)


def test_no_such_profile(refused, campaign_file, campaign_content):
    for arguments in (('status',), ('run', campaign_file(campaign_content)), ('why', '1')):
        output = refused('-p', 'nobodys', *arguments)
        assert "no profile 'nobodys'" in output
        assert 'setup --create' in output


def test_why_of_what_is_not_there(refused):
    assert "no node '99999999'" in refused('why', '99999999')
    assert "no node 'nonsense'" in refused('why', 'nonsense')


def test_why_of_a_process(refused, linear_fit):
    output = refused('why', linear_fit.pk)
    assert 'is a process' in output
    assert f'({linear_fit.outputs.potential.uuid})' in output


def test_setup_needs_a_name_to_create(refused):
    assert 'name the profile to create' in refused('setup', '--create')


def test_a_log_that_the_storage_does_not_have(refused):
    assert 'for profiles with SQLite storage' in refused('setup', '--wal')


def test_nothing_to_select(traincraft, campaign_file, campaign_content, python_code, tmp_path):
    """The one error that only the campaign itself can find; it is stored, with its exit code."""
    campaign_content['run'] |= {'name': 'dense', 'outdir': str(tmp_path / 'runs')}
    campaign_content['systems'][0]['geometry']['builder']['a'] = 1.9
    campaign_content['systems'][0]['sampling'] = {'type': 'rattle', 'n': 2, 'stdev': 0.01, 'min_distance': 0.0}
    result = traincraft('run', campaign_file(campaign_content), '--in-process')
    assert result.exit_code == 1
    assert 'No starting structure passed the physical checks' in result.output
    campaign = orm.QueryBuilder().append(orm.WorkChainNode, filters={'label': 'dense'}).first(flat=True)
    assert campaign.exit_status == 404
    # There is no potential to ask about.
    page = (tmp_path / 'runs' / 'dense' / 'report.html').read_text()
    assert 'traincraft run campaign.toml' in page
    assert 'traincraft why' not in page


def test_a_database_that_another_program_keeps_is_told_in_a_line(traincraft, monkeypatch, tmp_path):
    holder = sqlite3.connect(tmp_path / 'database', isolation_level=None)
    holder.execute('BEGIN EXCLUSIVE')

    def ask():
        with create_engine(f'sqlite:///{tmp_path / "database"}', connect_args={'timeout': 0}).connect() as connection:
            connection.execute(text('SELECT * FROM sqlite_master'))

    monkeypatch.setattr('aiida_traincraft.provenance.queries.find_campaigns', ask)
    result = traincraft('status')
    holder.close()
    assert result.exit_code == 1
    assert result.output.startswith('Error: another program has kept the SQLite database to itself')
    assert len(result.output.splitlines()) == 1
