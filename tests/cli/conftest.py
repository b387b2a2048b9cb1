"""The command line in this process, on the profile of the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from aiida import orm
from click.testing import CliRunner, Result

from aiida_traincraft.cli import main


@pytest.fixture
def traincraft(aiida_profile, tmp_path, monkeypatch) -> Callable[..., Result]:
    """Function that calls ``traincraft`` from an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Result:
        # Rich takes the width of a terminal from here.
        return CliRunner(env={'COLUMNS': '200'}).invoke(main, [str(argument) for argument in arguments])

    return call


@pytest.fixture
def refused(traincraft) -> Callable[..., str]:
    """Function that calls ``traincraft`` and expects one screen of explanation, and nothing stored."""

    def call(*arguments: object) -> str:
        before = orm.QueryBuilder().append(orm.Node).count()
        result = traincraft(*arguments)
        assert result.exit_code not in (0, None)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert 'Traceback' not in result.output
        assert 0 < len(result.output.splitlines()) <= 24
        assert orm.QueryBuilder().append(orm.Node).count() == before
        return result.output

    return call


@pytest.fixture
def put(tmp_path) -> Callable[[str, str, str], Path]:
    """Function that writes a script that stands in for a program."""

    def write(folder: str, name: str, script: str) -> Path:
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(script)
        path.chmod(0o755)
        return path

    return write
