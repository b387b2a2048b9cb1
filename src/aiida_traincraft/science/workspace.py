"""A folder that a stage may write to, always by absolute path."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


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
    """Refuse a zip archive (what numpy and torch write) with a part that does not have its checksum.

    Raises
    ------
    ValueError
        With the name of the file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    # Whatever a damaged archive does to those who read it.
    except Exception as error:
        raise ValueError(f'{path.name} is damaged: {type(error).__name__}: {error}') from error
    if damaged is not None:
        raise ValueError(f'{path.name} is damaged in {damaged}')


def digest_file(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open('rb') as handle:
        return hashlib.file_digest(handle, 'sha256').hexdigest()
