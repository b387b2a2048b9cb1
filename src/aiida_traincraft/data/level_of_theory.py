"""Who made a label, and how: one node per level, found again by its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from aiida import orm

from aiida_traincraft.data.frames.base import ContentCaching

SHORT_HASH = 8
SHORT_VALUE = 60
MOST_DIFFERENCES = 10


class LevelOfTheoryData(orm.Data):
    """A level of theory: for a teacher its name and parameters; for DFT code, functional, cutoffs, ....

    Use :meth:`get_or_create`: equal content gives the stored node again.
    """

    _CLS_NODE_CACHING = ContentCaching

    def __init__(self, content: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not content:
            raise ValueError('a level of theory needs at least one key')
        digest = level_hash(content)
        self.base.attributes.set_many({'content': content, 'fingerprint': digest})
        self.label = digest

    @classmethod
    def get_or_create(cls, content: dict[str, Any]) -> LevelOfTheoryData:
        """Return the stored node of this level, or store a new one."""
        query = orm.QueryBuilder().append(cls, filters={'label': level_hash(content)})
        query.order_by({cls: 'id'}).limit(1)
        found = query.first(flat=True)
        node: LevelOfTheoryData = found if found is not None else cls(content).store()
        return node

    @property
    def content(self) -> dict[str, Any]:
        """What defines the level."""
        return dict(self.base.attributes.get('content'))

    @property
    def hash(self) -> str:
        """Hash over the content."""
        return str(self.base.attributes.get('fingerprint'))

    def __str__(self) -> str:
        return f'level of theory {self.hash[:8]}: {json.dumps(self.content, sort_keys=True)}'


def level_hash(content: dict[str, Any]) -> str:
    """SHA-1 over the sorted JSON of a level of theory."""
    return hashlib.sha1(json.dumps(content, sort_keys=True).encode(), usedforsecurity=False).hexdigest()


def full_level_hash(start: str) -> str:
    """Hash of the one level of theory that begins so.

    Raises
    ------
    ValueError
        If there is none, or more than one.
    """
    query = orm.QueryBuilder().append(LevelOfTheoryData, filters={'label': {'like': f'{start}%'}}, project='label')
    found = sorted(set(query.all(flat=True)))
    if len(found) != 1:
        raise ValueError(f'{len(found)} levels of theory in this profile begin with {start!r}')
    return str(found[0])


def describe_differences(hashes: Iterable[str]) -> str:
    """Say in what some levels of theory differ: the keys of their content whose values are not the same everywhere.

    Parameters
    ----------
    hashes
        Hashes of two or more levels.

    Returns
    -------
    str
        Such as ``"ecutwfc is 30.0 (level 1f0c2a9b) and 40.0 (level 77aa01de)"``, joined by semicolons; the hashes alone
        if not all of the levels are in the database, or no difference can be seen.
    """
    names = sorted(set(hashes))
    query = orm.QueryBuilder().append(
        LevelOfTheoryData, filters={'label': {'in': names}}, project=['label', 'attributes.content']
    )
    contents = {f'level {name[:SHORT_HASH]}': content for name, content in query.iterall()}
    if len(contents) < len(names):
        return ', '.join(names)
    # Numbers that differ in their last digits only are rounded when they are stored: then no key differs.
    return differences(contents) or ', '.join(names)


def differences(contents: Mapping[str, Mapping[str, Any]]) -> str:
    """Say in what the contents of some levels of theory differ; empty if they do not.

    Parameters
    ----------
    contents
        Content by the name under which it is told, such as ``"level 1f0c2a9b"``.
    """
    flat = {name: dict(_flat(contents[name])) for name in sorted(contents)}
    keys = dict.fromkeys(key for content in flat.values() for key in content)
    parts = []
    for key in keys:
        places: dict[str, list[str]] = {}
        for name, content in flat.items():
            value = json.dumps(content[key], sort_keys=True) if key in content else 'absent'
            places.setdefault(value, []).append(name)
        if len(places) > 1:
            values = [f'{_short(value)} ({", ".join(where)})' for value, where in places.items()]
            parts.append(f'{key} is {" and ".join(values)}')
    more = len(parts) - MOST_DIFFERENCES
    return '; '.join(parts[:MOST_DIFFERENCES] + ([f'and {more} more'] if more > 0 else []))


def _flat(content: Mapping[str, Any], prefix: str = '') -> Iterable[tuple[str, Any]]:
    """Items of nested tables, with dotted keys."""
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f'{prefix}{key}.')
        else:
            yield f'{prefix}{key}', value


def _short(text: str) -> str:
    return text if len(text) <= SHORT_VALUE else f'{text[:SHORT_VALUE]}…'
