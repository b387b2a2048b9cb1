"""What of a calculator's table decides the numbers that it gives."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from aiida_traincraft.science.config.base import PluginConfig


def level_table(config: PluginConfig) -> dict[str, Any]:
    """Table of a calculator with its files by their content.

    Parameters
    ----------
    config
        It may have ``level_table()``, which gives the table, read on the machine that calculates; without, all of it
        counts as it stands.

    Returns
    -------
    dict
        JSON-serialisable: equal for equal files, wherever they lie.
    """
    own = getattr(config, 'level_table', None)
    table: dict[str, Any] = own() if own is not None else config.model_dump(mode='json')
    return table


def file_content(path: str | Path) -> str:
    """SHA-256 of a file; of one that is not there, its path: nothing is calculated with it."""
    place = Path(path).expanduser()
    # A relative path means the folder of a job, which is not there yet.
    if not place.is_absolute() or not place.is_file():
        return str(path)
    with place.open('rb') as handle:
        return f'sha256:{hashlib.file_digest(handle, "sha256").hexdigest()}'
