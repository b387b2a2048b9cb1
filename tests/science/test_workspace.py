"""Workspace: absolute paths inside one folder."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from aiida_traincraft.science.models.ace_check import read_active_set
from aiida_traincraft.science.workspace import Workspace, check_archive, read_arrays

SMALL, LARGE = 1_000, 50_000_000


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


def zeros(n_bytes: int, shape: tuple[int, ...] | None = None) -> bytes:
    """An array of float64 zeros as numpy writes it, with the shape that its header tells."""
    buffer = io.BytesIO()
    header = {'descr': '<f8', 'fortran_order': False, 'shape': shape or (n_bytes // 8,)}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + bytes(n_bytes)


def packed(path: Path, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """An archive of one array, Cu."""
    with zipfile.ZipFile(path, 'w', method, compresslevel=1) as archive:
        archive.writestr('Cu.npy', content)
    return path


def belittle(path: Path) -> None:
    """Let the directory of an archive tell a small size of its one part."""
    content = bytearray(path.read_bytes())
    for start, offset in ((content.find(b'PK\x03\x04'), 22), (content.rfind(b'PK\x01\x02'), 24)):
        content[start + offset : start + offset + 4] = struct.pack('<I', SMALL)
    path.write_bytes(content)


def bomb(path: Path) -> Path:
    return packed(path, zeros(LARGE))


def belittled_bomb(path: Path) -> Path:
    belittle(bomb(path))
    return path


def bzip2(path: Path) -> Path:
    return packed(path, zeros(SMALL), zipfile.ZIP_BZIP2)


def longer_than_told(path: Path) -> Path:
    return packed(path, zeros(SMALL, shape=(LARGE // 8,)))


def beyond_all_memory(path: Path) -> Path:
    return packed(path, zeros(SMALL, shape=(10**15,)))


@pytest.mark.parametrize('read', [check_archive, read_active_set])
@pytest.mark.parametrize(
    ('make', 'told'),
    [
        (bomb, r'\d+ bytes unpack to 500001\d\d'),
        (belittled_bomb, 'CRC|damaged in Cu'),
        (bzip2, 'neither numpy nor torch'),
    ],
)
def test_an_archive_that_fills_memory(tmp_path, read, make, told):
    with pytest.raises(ValueError, match=told):
        read(make(tmp_path / 'bomb.npz'))


@pytest.mark.parametrize(('make', 'told'), [(longer_than_told, 'EOF'), (beyond_all_memory, 'allocate')])
def test_arrays_of_another_shape_than_told(tmp_path, make, told):
    path = make(tmp_path / 'arrays.npz')
    with pytest.raises(ValueError, match=told):
        read_active_set(path)


def test_arrays_are_read(tmp_path):
    found = {'Cu': np.eye(3), 'noise': np.array(0.1)}
    np.savez_compressed(tmp_path / 'arrays.npz', **found)
    check_archive(tmp_path / 'arrays.npz')
    read = read_arrays(tmp_path / 'arrays.npz')
    assert read.keys() == found.keys()
    assert all(np.array_equal(read[name], found[name]) for name in found)
