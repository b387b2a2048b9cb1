"""A campaign's name, a PK or a UUID, wherever a campaign or a node of one is asked for."""

from __future__ import annotations

import json

import click
import pytest
from aiida import orm

from aiida_traincraft.cli import main, naming
from aiida_traincraft.data.reading import find_node
from aiida_traincraft.workchains.active_learning import ActiveLearningWorkChain


def commands(group=main, path=()):
    """All commands below a group, by the words that call them."""
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


@pytest.fixture
def names(tiny_campaign):
    """Ways to name the campaign."""
    return ('tiny', str(tiny_campaign.pk), tiny_campaign.uuid, tiny_campaign.uuid[:8])


@pytest.fixture
def namesake(tiny_campaign):
    """Another campaign of the same name, that was only begun."""
    node = orm.WorkChainNode()
    node.process_type, node.label = ActiveLearningWorkChain.build_process_type(), 'tiny'
    yield node.store()
    node.label = 'another'


def test_what_a_campaign_made_is_found_by_its_name(names, tiny_campaign):
    outputs = tiny_campaign.outputs
    for name in names:
        assert naming.load_campaign(name).uuid == tiny_campaign.uuid
        assert naming.load_named(name).uuid == tiny_campaign.uuid
        assert naming.load_potential(name).uuid == outputs.potential.uuid
        assert naming.load_dataset(name).uuid == outputs.dataset.uuid
        assert naming.load_test_set(name).uuid == naming.find_sealed(name).uuid == outputs.test_set.uuid
    for node, load in (
        (outputs.potential, naming.load_potential),
        (outputs.dataset, naming.load_dataset),
        (outputs.dataset, naming.load_test_set),
    ):
        assert all(load(name).uuid == node.uuid for name in (str(node.pk), node.uuid, node.uuid[:8]))
    assert naming.find_sealed(outputs.dataset.uuid) is None


def test_commands_take_the_name(traincraft, tiny_campaign, tmp_path):
    potential = tiny_campaign.outputs.potential
    assert f'<{potential.pk}>' in traincraft('why', 'tiny').output
    assert traincraft('why', 'tiny').output == traincraft('why', potential.pk).output
    found = json.loads(traincraft('diff', 'tiny', potential.pk, '--format', 'json').output)
    assert found['settings'] == {}
    result = traincraft('bundle', 'tiny', '-o', 'made/bundle')
    assert result.exit_code == 0, result.output
    readme = (tmp_path / 'made/bundle/README.md').read_text()
    assert potential.uuid in readme
    assert 'on no package index: "pip install ." in a clone' in readme
    assert 'pip install aiida-traincraft' not in readme
    assert traincraft('export', 'dataset', 'tiny', '-o', 'data/all.extxyz').exit_code == 0
    assert (tmp_path / 'data/all.extxyz').stat().st_size > 0


def test_the_newest_of_several_is_taken_and_told(traincraft, tiny_campaign, namesake):
    told = f"2 campaigns are called 'tiny': the newest is taken, PK {namesake.pk} (UUID {namesake.uuid[:8]}"
    output = traincraft('query', 'labels', '--campaign', 'tiny').output
    assert told in output
    assert f'give its PK: {tiny_campaign.pk}' in output
    assert 'nothing found' in output
    assert 'campaigns are called' not in traincraft('query', 'labels', '--campaign', tiny_campaign.pk).output
    result = traincraft('why', 'tiny')
    assert result.exit_code == 1
    assert told in result.output
    assert f"campaign 'tiny' <{namesake.pk}> has no potential (yet): traincraft status {namesake.pk}" in result.output


def test_nothing_of_that_name(refused, tiny_campaign):
    for arguments in (('bundle', 'nobody', '-o', 'x'), ('diff', 'nobody', 'nobody')):
        assert "there is no potential 'nobody'" in refused(*arguments)
    assert 'no campaign' in refused('status', '')
    assert 'no campaign' in refused('status', '%')
    assert 'no campaign' in refused('status', '9' * 5000)


def test_a_uuid_of_digits_is_no_pk(aiida_profile):
    node = next(node for node in iter(lambda: orm.Int(0), None) if node.uuid[:8].isdigit()).store()
    assert find_node(node.uuid[:8]).uuid == find_node(str(node.pk)).uuid == node.uuid
    # Shorter, it would be any PK that is mistyped.
    assert find_node(node.uuid[:7]) is None or find_node(node.uuid[:7]).uuid != node.uuid


def test_the_profile_may_stand_behind_every_command(refused, traincraft):
    for words, command in commands():
        assert any(parameter.name == 'profile' for parameter in command.params), words
    for arguments in (('status', '-p', 'nobodys'), ('query', 'labels', '--profile', 'nobodys')):
        assert "no profile 'nobodys'" in refused(*arguments)
    assert "no profile 'nobodys'" in refused('query', '-p', 'nobodys', 'labels')
    assert 'two profiles are given' in refused('-p', 'one', 'status', '-p', 'other')


def test_options_are_spelled_alike():
    for words, command in commands():
        for parameter in command.params:
            if parameter.name == 'output':
                assert parameter.opts == ['-o', '--output'], words
            if parameter.name == 'level':
                assert parameter.opts[0] == '--level-of-theory', words
            if parameter.name in ('elements', 'element'):
                assert parameter.type.name == 'ELEMENT', words


def test_an_element_in_another_spelling(traincraft, tiny_campaign):
    assert traincraft('query', 'structures', '--element', 'cu', '--limit', 1).output.count('Cu') >= 1
    result = traincraft('query', 'structures', '--element', 'CU')
    assert result.exit_code == 2
    assert "'CU' is no chemical element; did you mean 'Cu'?" in result.output
    assert "'Xq' is no chemical element\n" in traincraft('dataset', 'filter', 'tiny', '--element', 'Xq').output


def test_a_level_of_theory_is_named_as_at_the_import(traincraft, tiny_campaign):
    level = tiny_campaign.outputs.dataset.levels_of_theory[0]
    node = orm.QueryBuilder().append(orm.Data, filters={'label': level}).first(flat=True)
    outputs = {
        traincraft('query', 'labels', '--level-of-theory', name, '--limit', 3).output
        for name in (level, level[:6], level[:12], node.uuid)
    }
    assert len(outputs) == 1
    assert 'Cu' in outputs.pop()
