"""A folder that a stage may write to, always by absolute path."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiida_traincraft.science.atoms.arrays import Array

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What numpy and torch write; others unpack a block at once, however large it becomes."""
ALWAYS_UNPACKED = 32_000_000
MOST_UNPACKED = 100
"""Bytes that an archive may unpack to, and beyond those times its own size: numbers that differ shrink by far less."""


@dataclass(frozen=True)
class Workspace:
    """Absolute folder of one run; nothing changes the process's own working directory."""

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, 'root', Path(self.root).resolve())
        self.root.mkdir(parents=True, exist_ok=True)

    def path(self, *parts: str) -> Path:
        """Absolute path inside the workspace; its parent folder exists.

        Raises
        ------
        ValueError
            If the path would leave the workspace.
        """
        target = self.root.joinpath(*parts).resolve()
        if not target.is_relative_to(self.root):
            raise ValueError(f'{"/".join(parts)} lies outside the workspace {self.root}')
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


def input_path(workspace: Workspace | None, path: str, key: str) -> Path:
    """Absolute path of a file that a source reads.

    Parameters
    ----------
    workspace
        Folder that a relative path refers to; the current folder without one.
    path
        Path as given in the config.
    key
        Key of the config that gives it, for the error.

    Raises
    ------
    ValueError
        If there is no such file.
    """
    folder = workspace.root if workspace is not None else Path.cwd()
    try:
        found = folder / Path(path).expanduser()
        if found.is_file():
            return found
    # A null character, a name that is too long, a folder that may not be entered.
    except (OSError, ValueError, RuntimeError):
        pass
    raise ValueError(f'"{key}": there is no file {path!r}: give an absolute path, or one relative to {folder}')


def check_digests(folder: Path, digests: Mapping[str, str]) -> None:
    """Refuse files that are not what was written: cut or changed on their way.

    Raises
    ------
    ValueError
        With the name of the file.
    """
    for name, digest in digests.items():
        path = folder / name
        if not path.is_file():
            raise ValueError(f'{name} did not arrive')
        if digest_file(path) != digest:
            raise ValueError(f'{name} is not what was written ({path.stat().st_size} bytes arrived)')


def check_archive(path: Path) -> None:
    """Refuse a zip archive (what numpy and torch write) that is a bomb, or with a part that lacks its checksum.

    Raises
    ------
    ValueError
        With the name of the file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_unpacked(archive)
            damaged = archive.testzip()
    # Whatever a damaged archive does to those who read it.
    except Exception as error:
        raise ValueError(f'{path.name} is damaged: {type(error).__name__}: {error}') from error
    if damaged is not None:
        raise ValueError(f'{path.name} is damaged in {damaged}')


def read_arrays(path: Path) -> dict[str, Array]:
    """Arrays of a ``.npz`` file of others, by name.

    Raises
    ------
    Exception
        Of any kind, if the file is damaged; ValueError if it unpacks to too much.
    """
    # A worker without numpy has to come so far that it can say so.
    import numpy as np

    with zipfile.ZipFile(path) as archive:
        _check_unpacked(archive)
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _check_unpacked(archive: zipfile.ZipFile) -> None:
    """Refuse an archive by what its directory declares: of each part no more than that is read."""
    parts = archive.infolist()
    if odd := next((part for part in parts if part.compress_type not in METHODS), None):
        raise ValueError(f'{odd.filename} is packed in a way that neither numpy nor torch uses')
    packed, unpacked = Path(str(archive.filename)).stat().st_size, sum(part.file_size for part in parts)
    if unpacked > max(ALWAYS_UNPACKED, MOST_UNPACKED * packed):
        raise ValueError(f'{packed} bytes unpack to {unpacked}, more than {MOST_UNPACKED} times as many')


def digest_file(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open('rb') as handle:
        return hashlib.file_digest(handle, 'sha256').hexdigest()
