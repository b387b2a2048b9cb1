"""Sources that training and test set have in common: their frames may be of one trajectory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiida_traincraft.science.campaign.preflight import Preflight
from aiida_traincraft.science.config.kinds import SourceConfig
from aiida_traincraft.science.errors import ConfigIssue


def check_shared_sources(preflight: Preflight) -> list[ConfigIssue]:
    """Find systems of the test set that read frames from where systems to train on read theirs.

    One and the same frame may be the start of both, as a builder may: what is sampled around it differs.
    """
    config, folder = preflight.config, preflight.folder
    issues = []
    for i, tested in enumerate(config.test_set.systems):
        for j, trained in enumerate(config.systems):
            shared = _shared(tested.geometry.source, trained.geometry.source, folder)
            if shared is not None:
                key, value, other = shared
                advice = ', or one frame (the same "index") for both' if key in ('path', 'paths', 'url') else ''
                issues.append(
                    ConfigIssue(
                        f'test_set.systems[{i}].geometry.source.{key}',
                        f'{value} is read by systems[{j}].geometry.source.{other} too, and frames of one trajectory '
                        f'tell of each other: take the test set from elsewhere{advice}',
                    )
                )
    return issues


def _shared(tested: SourceConfig | None, trained: SourceConfig | None, folder: Path) -> tuple[str, str, str] | None:
    """Key and value that both sources read from, and the other's key; None if they have none in common."""
    if tested is None or trained is None:
        return None
    mine, theirs = _as_given(tested), _as_given(trained)
    if mine['type'] != theirs['type']:
        return None
    if mine['type'] == 'dataset':
        return _shared_dataset(mine, theirs)
    # A number takes one frame of each file, a text a slice of it.
    if isinstance(mine.get('index'), int) and mine['index'] == theirs['index']:
        return None
    others = {place: key for key, place, _ in _places(theirs, folder)}
    for key, place, value in _places(mine, folder):
        if place in others:
            return key, value, others[place]
    return None


def _as_given(source: SourceConfig) -> dict[str, Any]:
    """Table of a source; of one that is fetched already, the table that it was fetched by."""
    table = source.model_dump(mode='json')
    fetched: dict[str, Any] | None = table.get('fetched')
    return fetched or table


def _shared_dataset(mine: dict[str, Any], theirs: dict[str, Any]) -> tuple[str, str, str] | None:
    """UUID of a dataset, of which both sources may take the same structures."""
    short, long = sorted((mine['uuid'], theirs['uuid']), key=len)
    named = mine['system'] is not None and theirs['system'] is not None
    apart = mine['split'] != theirs['split'] or (named and mine['system'] != theirs['system'])
    return ('uuid', mine['uuid'], 'uuid') if long.startswith(short) and not apart else None


def _places(source: dict[str, Any], folder: Path) -> Iterator[tuple[str, str, str]]:
    """Each place that a source reads several frames from: its key, what tells it from others, and the value given."""
    for key in ('path', 'paths'):
        given = source.get(key)
        for name in [given] if isinstance(given, str) else given or []:
            yield key, _resolved(folder, name), json.dumps(name)
    for key in ('url', 'group', 'filters'):
        if source.get(key) is not None:
            value = json.dumps(source[key], sort_keys=True)
            yield key, f'{key} {value}', value


def _resolved(folder: Path, name: str) -> str:
    try:
        return str((folder / Path(name).expanduser()).resolve())
    # A null character, a user that is none: the source itself says so.
    except (OSError, ValueError, RuntimeError):
        return name
