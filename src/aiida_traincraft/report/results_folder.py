"""The folder that the results of a campaign go to: only what carries our mark is written to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

MARKED = 'campaign.toml'
"""Carries the mark in its first line."""
SIGN = '# traincraft: '
REPORT = 'report.html'
"""Written while a campaign runs, too."""
GEOMETRY = 'geometry'
"""Folder that "traincraft build" writes."""


@dataclass(frozen=True)
class Mark:
    """What the mark of a folder says."""

    campaign: str
    """UUID of the campaign whose results it holds."""
    files: tuple[str, ...] = (MARKED, REPORT)
    """Names of what was written as results."""

    @property
    def line(self) -> str:
        """First line of the file that carries it."""
        return f'{SIGN}{json.dumps({"campaign": self.campaign, "files": list(self.files)})}\n'


def read_mark(folder: Path) -> Mark | None:
    """Mark of a folder; None if there is none that can be read."""
    try:
        with (folder / MARKED).open(encoding='utf-8') as handle:
            content = json.loads(handle.readline().removeprefix(SIGN))
        return Mark(str(content['campaign']), tuple(map(str, content['files'])))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_mark(folder: Path, mark: Mark) -> None:
    """Write the mark of a folder, whole or not at all, in the place of any other."""
    path, partial = folder / MARKED, folder / f'{MARKED}.partial'
    rest = path.read_text(encoding='utf-8') if path.exists() else ''
    if rest.startswith(SIGN):
        _, _, rest = rest.partition('\n')
    partial.write_text(mark.line + rest, encoding='utf-8')
    partial.replace(path)


def is_foreign(folder: Path) -> bool:
    """Whether a folder holds anything but what is ours."""
    if not folder.exists() or read_mark(folder) is not None:
        return False
    return not folder.is_dir() or any(path.name != GEOMETRY for path in folder.iterdir())


def claim(folder: Path) -> None:
    """Make a folder, or take one that is empty or ours.

    Raises
    ------
    FileExistsError
        If it is foreign.
    """
    if is_foreign(folder):
        raise FileExistsError(
            f'{folder} is there and holds files that are no results of traincraft: change "name" or "outdir" in [run]'
        )
    folder.mkdir(parents=True, exist_ok=True)


def open_folder(folder: Path, campaign: str) -> Path:
    """Folder to write the results of a campaign to.

    Parameters
    ----------
    folder
        Where they are wanted. The results of another campaign that lie there are moved beside, to ``NAME.1``, ...
    campaign
        UUID of the campaign.

    Returns
    -------
    Path
        The folder, or, if it is foreign, one beside it.
    """
    if is_foreign(folder):
        beside = next(path for path in _numbered(folder) if not is_foreign(path) and _is_of(path, campaign))
        return open_folder(beside, campaign)
    if not _is_of(folder, campaign):
        set_aside(folder)
    claim(folder)
    if read_mark(folder) is None:
        write_mark(folder, Mark(campaign))
    return folder


def set_aside(path: Path) -> Path:
    """Move a file or folder beside itself, under the first number that is free."""
    target = next(beside for beside in _numbered(path) if not beside.exists())
    path.rename(target)
    return target


def _is_of(folder: Path, campaign: str) -> bool:
    mark = read_mark(folder)
    return mark is None or mark.campaign == campaign


def _numbered(path: Path) -> Iterator[Path]:
    return (path.with_name(f'{path.name}.{number}') for number in count(1))
