"""What of a calculator's table decides the numbers that it gives."""

from __future__ import annotations

from pathlib import Path

from aiida_traincraft.science.workspace import digest_file


def file_content(path: str | Path) -> str:
    """SHA-256 of a file; of one that is not there, its path: nothing is calculated with it."""
    place = Path(path).expanduser()
    # A relative path means the folder of a job, which is not there yet.
    if not place.is_absolute() or not place.is_file():
        return str(path)
    return f'sha256:{digest_file(place)}'
