"""What the documentation asks a database works as it is written."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from aiida_traincraft import DatasetData, LabelData, Structure
from aiida_traincraft.cli import main
from aiida_traincraft.data.dataset import DatasetRow

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / 'docs' / 'queries.md').read_text()


def run(snippet: str, names: dict[str, Any]) -> None:
    exec(compile(snippet, 'snippet', 'exec', dont_inherit=True), names)


def snippets(text: str) -> list[str]:
    found = re.findall(r'```python\n(.*?)```', text, re.DOTALL)
    assert len(found) == text.count('```python')
    return found


def test_every_snippet_runs(tiny_campaign, capsys):
    assert len(snippets(PAGE)) > 8
    outputs = tiny_campaign.outputs
    names: dict[str, Any] = {
        'CAMPAIGN': tiny_campaign.uuid,
        'POTENTIAL': outputs.potential.uuid,
        'DATASET': outputs.dataset.uuid,
        'TEST_SET': outputs.test_set.uuid,
        'CODE': 'python@localhost',
    }
    for snippet in snippets(PAGE):
        run(snippet, names)
        assert capsys.readouterr().out.strip(), snippet
    assert names['job'].is_finished_ok


def test_snippets_of_the_readme_run(tiny_campaign, capsys):
    of_a_profile = [text for text in snippets((ROOT / 'README.md').read_text()) if 'load_profile(' in text]
    assert len(of_a_profile) == 2
    for snippet in of_a_profile:
        # The profile of the tests is loaded, and its campaign is of copper.
        run(snippet.replace("load_profile('traincraft')", '').replace("'nickel'", "'tiny'").replace("'Ni'", "'Cu'"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(str(tiny_campaign.outputs.potential))
    assert any('pair_style' in line for line in lines)
    assert any(line.endswith(' True') for line in lines)
    assert lines[-1].endswith('labels below 0.1 eV/atom, with the jobs that made them')


@pytest.fixture
def dataset(aiida_profile, copper_frames) -> DatasetData:
    """Thirty training structures at a level of their own: what is set aside is not missed by other tests."""
    rows = []
    for frame in copper_frames:
        label = LabelData(Structure(frame.atoms, frame.properties, {**frame.provenance, 'level_of_theory': 'page'}))
        rows.append(DatasetRow(label.store().uuid, label.fingerprint, label.structure_fingerprint, 'train'))
    return DatasetData(rows, ['page'], {}).store()


def test_picture_of_the_readme_has_the_nodes_of_a_campaign(tiny_campaign):
    script = runpy.run_path(str(ROOT / 'docs' / 'provenance_graph.py'))
    graph = script['Graph'](tiny_campaign)
    assert graph.cycles == [0, 1, 2]
    members = {pk for group in graph.groups.values() for pk in group.members}
    assert {tiny_campaign.outputs.dataset.pk, tiny_campaign.outputs.potential.pk} <= members
    assert script['to_dot'](graph).count('subgraph cluster_') == 3


def test_snippet_of_the_page_on_datasets_runs(dataset, capsys):
    (snippet,) = snippets((ROOT / 'docs' / 'datasets.md').read_text())
    names: dict[str, Any] = {}
    run(snippet.replace('2cc58cc9', dataset.uuid), names)
    assert names['split'].count('test') == 6
    assert len(capsys.readouterr().out.splitlines()) == 6


@pytest.mark.parametrize('page', ['mace', 'validation'])
def test_query_of_a_page_runs(page, aiida_profile, capsys):
    (snippet,) = snippets((ROOT / 'docs' / f'{page}.md').read_text())
    run(snippet, {})
    assert capsys.readouterr().out.startswith('[')


def test_every_command_is_there():
    for line in re.findall(r'^\$ traincraft (.*)$', PAGE, re.MULTILINE):
        words = line.split(' > ')[0].split()
        command = main.commands[words[0]]
        if words[0] == 'query':
            command = command.commands[words[1]]
        options = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in words if word.startswith('--')} <= options
