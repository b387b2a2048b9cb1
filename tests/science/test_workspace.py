"""Workspace: absolute paths inside one folder."""

from pathlib import Path

import pytest

from aiida_traincraft.science.workspace import Workspace


def test_relative_root_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    workspace = Workspace(Path('some/run'))
    assert workspace.root == tmp_path / 'some' / 'run'
    assert workspace.root.is_dir()
    monkeypatch.chdir('/')
    assert workspace.path('a', 'b.txt') == tmp_path / 'some' / 'run' / 'a' / 'b.txt'


def test_parent_folder_exists(tmp_path):
    target = Workspace(tmp_path).path('deep', 'er', 'file.txt')
    target.write_text('x')
    assert (tmp_path / 'deep' / 'er' / 'file.txt').read_text() == 'x'


@pytest.mark.parametrize('parts', [('..', 'x'), ('/etc/x',), ('a', '..', '..', 'x')])
def test_no_way_out(tmp_path, parts):
    with pytest.raises(ValueError, match='outside the workspace'):
        Workspace(tmp_path / 'run').path(*parts)


def test_no_way_out_through_a_link(tmp_path):
    workspace = Workspace(tmp_path / 'run')
    (workspace.root / 'link').symlink_to(tmp_path)
    with pytest.raises(ValueError, match='outside the workspace'):
        workspace.path('link', 'x')
