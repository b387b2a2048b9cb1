"""Jobs that never ran: a CalcJob node with a retrieved folder, as aiida-quantumespresso's tests make it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ExitCode
from aiida.plugins import ParserFactory

from aiida_traincraft.science.worker.main import RESULT_FILE, digest_result

RECORDED = Path(__file__).parents[1] / 'recorded'


@dataclass
class Parsed:
    """What a parser made of a job."""

    node: orm.CalcJobNode
    exit_code: ExitCode | None
    outputs: dict[str, Any]

    @property
    def status(self) -> int:
        """Exit status; 0 for a good job."""
        return 0 if self.exit_code is None else self.exit_code.status

    @property
    def message(self) -> str:
        """Exit message."""
        return '' if self.exit_code is None else str(self.exit_code.message)


def sealed(content: str | bytes) -> str | bytes:
    """Recorded or made up results with the digest that the worker ends them with; what is no object stays."""
    try:
        result = json.loads(content)
    except ValueError:
        return content
    return json.dumps({'digest': digest_result(result)} | result) if isinstance(result, dict) else content


@pytest.fixture
def make_job(localhost) -> Callable[..., orm.CalcJobNode]:
    """Function that stores a job with its inputs and the files that came back."""

    def make(name: str, inputs: dict[str, orm.Data], files: dict[str, str | bytes]) -> orm.CalcJobNode:
        node = orm.CalcJobNode(computer=localhost, process_type=f'aiida.calculations:traincraft.{name}')
        for label, value in inputs.items():
            value.store()
            node.base.links.add_incoming(value, link_type=LinkType.INPUT_CALC, link_label=label)
        node.store()
        retrieved = orm.FolderData()
        for path, content in files.items():
            if path == RESULT_FILE:
                content = sealed(content)
            retrieved.base.repository.put_object_from_bytes(
                content.encode() if isinstance(content, str) else content, path
            )
        retrieved.base.links.add_incoming(node, link_type=LinkType.CREATE, link_label='retrieved')
        retrieved.store()
        return node

    return make


@pytest.fixture
def parse() -> Callable[[orm.CalcJobNode, Path], Parsed]:
    """Function that parses a job; big files lie in the folder given."""

    def run(node: orm.CalcJobNode, folder: Path) -> Parsed:
        name = str(node.process_type).partition(':')[2]
        parser = ParserFactory(name)(node)
        exit_code = parser.parse(retrieved_temporary_folder=str(folder))
        return Parsed(node, exit_code, dict(parser.outputs))

    return run


@pytest.fixture(scope='session')
def recorded() -> Path:
    """Folder of outputs of real codes."""
    return RECORDED
