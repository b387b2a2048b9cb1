from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from aiida_traincraft.cli import main

PAGE = (Path(__file__).parents[2] / 'docs' / 'queries.md').read_text()


def test_every_snippet_runs(tiny_campaign, capsys):
    snippets = re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL)
    assert len(snippets) == PAGE.count('```python') > 8
    outputs = tiny_campaign.outputs
    names: dict[str, Any] = {
        'CAMPAIGN': tiny_campaign.uuid,
        'POTENTIAL': outputs.potential.uuid,
        'DATASET': outputs.dataset.uuid,
        'TEST_SET': outputs.test_set.uuid,
        'CODE': 'python@localhost',
    }
    for snippet in snippets:
        exec(compile(snippet, 'queries.md', 'exec'), names)
        assert capsys.readouterr().out.strip(), snippet
    assert names['job'].is_finished_ok


def test_every_command_is_there():
    for line in re.findall(r'^\$ traincraft (.*)$', PAGE, re.MULTILINE):
        words = line.split(' > ')[0].split()
        command = main.commands[words[0]]
        if words[0] == 'query':
            command = command.commands[words[1]]
        options = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in words if word.startswith('--')} <= options
