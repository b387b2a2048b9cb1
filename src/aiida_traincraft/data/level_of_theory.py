"""Who made a label, and how: one node per level, found again by its hash."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from aiida import orm

from aiida_traincraft.data.frame import ContentCaching


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
