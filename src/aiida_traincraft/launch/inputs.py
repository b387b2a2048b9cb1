"""Nodes of the files that a config names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aiida import orm

from aiida_traincraft.science.config.run import RunConfig


def store_sources(holders: Iterable[dict[str, Any]], folder: Path) -> dict[str, orm.SinglefileData]:
    """Make nodes of the files that geometry sources read, and name them by the place that jobs find them at.

    Parameters
    ----------
    holders
        Tables with a key ``geometry``, changed in place.
    folder
        Folder that relative paths refer to.
    """
    files: dict[str, orm.SinglefileData] = {}
    for holder in holders:
        source = holder['geometry']['source'] or {}
        # The daemon reads a file from its node; ASE tells some formats by the file's name, so it is kept.
        if source.get('path') is not None:
            source['path'] = _stored(folder, source['path'], files)
        if source.get('paths') is not None:
            source['paths'] = [_stored(folder, path, files) for path in source['paths']]
    return files


def validation_holders(section: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Tables of the validators that have a geometry."""
    return [table for table in (section or {}).get('validators', []) if table.get('geometry') is not None]


def _stored(folder: Path, name: str, files: dict[str, orm.SinglefileData]) -> str:
    """Add the node of a file, and return the place that jobs find it at."""
    path = folder / Path(name).expanduser()
    key = f'file_{len(files):03d}'
    files[key] = orm.SinglefileData(path)
    return f'{key}/{path.name}'


def plugin_files(section: RunConfig, folder: Path) -> dict[str, orm.SinglefileData]:
    """Nodes of the plugin files of a section ``[run]``."""
    return {
        f'plugin_{index}': orm.SinglefileData((folder / name).resolve()) for index, name in enumerate(section.plugins)
    }
