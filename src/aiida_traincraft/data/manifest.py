"""A list of nodes as one node: what a process with many inputs or outputs is given."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from typing import Any

from aiida import orm

from aiida_traincraft.data.frames.base import ContentCaching

MANIFEST_FILE = 'manifest.json'


class JsonFileData(orm.Data):
    """A node whose rows lie in one JSON file and whose attributes are a digest and counts."""

    _CLS_NODE_CACHING = ContentCaching

    def _write_rows(self, rows: list[Any], content: Any, attributes: dict[str, Any]) -> None:
        """Store rows; ``content`` (JSON) decides the digest, so that UUIDs need not."""
        digest = hashlib.sha1(json.dumps(content, sort_keys=True).encode(), usedforsecurity=False).hexdigest()
        self.base.attributes.set_many(attributes | {'fingerprint': digest})
        self.base.repository.put_object_from_filelike(io.BytesIO(json.dumps(rows).encode()), MANIFEST_FILE)

    def _read_rows(self) -> list[Any]:
        if '_rows_value' not in self.__dict__:
            self.__dict__['_rows_value'] = self._load_rows()
        rows: list[Any] = self.__dict__['_rows_value']
        return rows

    def _load_rows(self) -> list[Any]:
        rows: list[Any] = json.loads(self.base.repository.get_object_content(MANIFEST_FILE))
        return rows

    @property
    def digest(self) -> str:
        """SHA-1 over the content of the rows."""
        return str(self.base.attributes.get('fingerprint'))


class ManifestData(JsonFileData):
    """UUIDs of frame nodes, in order.

    Parameters
    ----------
    uuids
        UUIDs of the members.
    fingerprints
        Their content fingerprints, in the same order.
    """

    def __init__(self, uuids: Sequence[str], fingerprints: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if len(uuids) != len(fingerprints):
            raise ValueError(f'{len(uuids)} UUIDs but {len(fingerprints)} fingerprints')
        rows = [list(pair) for pair in zip(uuids, fingerprints, strict=True)]
        self._write_rows(rows, list(fingerprints), {'n_members': len(rows)})

    @property
    def uuids(self) -> list[str]:
        """UUIDs of the members, in order."""
        return [row[0] for row in self._read_rows()]

    @property
    def fingerprints(self) -> list[str]:
        """Content fingerprints of the members, in order."""
        return [row[1] for row in self._read_rows()]

    def __len__(self) -> int:
        return int(self.base.attributes.get('n_members'))

    def __str__(self) -> str:
        return f'manifest of {len(self)} nodes, digest {self.digest[:8]}'
