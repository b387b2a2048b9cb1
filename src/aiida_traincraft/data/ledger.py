"""What became of every structure that was sent to a labeller."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from aiida import orm

from aiida_traincraft.data.manifest import JsonFileData
from aiida_traincraft.data.reading import QUERY_CHUNK
from aiida_traincraft.science.errors import shortened

STATUSES = ('ok', 'recovered', 'reused', 'failed', 'skipped')


@dataclass(frozen=True)
class LedgerRow:
    """One structure's fate."""

    structure: str
    """UUID of the structure."""
    fingerprint: str
    """Content fingerprint of the structure."""
    status: str
    """One of ``ok``, ``recovered``, ``reused``, ``failed``, ``skipped``."""
    label: str | None = None
    """UUID of the label, if there is one."""
    reason: str | None = None
    """Why there is none, in few words: reasons are counted."""
    detail: str | None = None
    """What else is known of the failure: numbers, the last words of a code."""
    tries: int = 1
    """How often a code ran for it; 0 if it never did."""
    process: str | None = None
    """UUID of the process that decided."""
    core_seconds: float | None = None
    """Wall seconds times cores of the codes that ran for it, failed tries included; None if none ran, its result came
    from the cache, or nobody measured."""


class LedgerData(JsonFileData):
    """The label ledger: one row per structure, counts as attributes.

    Raises
    ------
    ValueError
        If a status is unknown, or a row has neither label nor reason.
    """

    def __init__(self, rows: list[LedgerRow], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for row in rows:
            if row.status not in STATUSES:
                raise ValueError(f'unknown ledger status {row.status!r} (allowed: {", ".join(STATUSES)})')
            if (row.label is None) == (row.reason is None):
                raise ValueError(f'ledger row of structure {row.structure}: give either a label or a reason')
        counts = Counter(row.status for row in rows)
        reasons = Counter(row.reason for row in rows if row.reason)
        attributes = {
            'n_total': len(rows),
            'n_labelled': sum(row.label is not None for row in rows),
            **{f'n_{status}': counts[status] for status in STATUSES},
            'reasons': dict(reasons),
            'core_seconds': math.fsum(row.core_seconds or 0.0 for row in rows),
        }
        # Times are not in the digest: the same structures with the same fate are the same ledger.
        self._write_rows([asdict(row) for row in rows], [[r.fingerprint, r.status, r.reason] for r in rows], attributes)

    @property
    def rows(self) -> list[LedgerRow]:
        """All rows, in the order in which the structures were sent."""
        return [LedgerRow(**row) for row in self._read_rows()]

    @property
    def counts(self) -> dict[str, int]:
        """Number of structures: in all (``total``), with a label (``labelled``), and per status."""
        return {key: int(self.base.attributes.get(f'n_{key}')) for key in ('total', 'labelled', *STATUSES)}

    @property
    def reasons(self) -> dict[str, int]:
        """How often each reason of failure occurred."""
        found = Counter[str]()
        for reason, number in self.base.attributes.get('reasons').items():
            found[shortened(reason)] += number
        return dict(found)

    @property
    def core_seconds(self) -> float:
        """Wall seconds times cores of all that was measured."""
        return float(self.base.attributes.get('core_seconds', 0.0))

    def label_costs(self) -> list[tuple[str, float]]:
        """Formula (Hill order) and cost (core-seconds) of every label whose cost was measured, in the order sent."""
        measured = [(row.structure, row.core_seconds) for row in self.rows if row.label is not None]
        costs = [(uuid, seconds) for uuid, seconds in measured if seconds]
        formulas: dict[str, str] = {}
        for start in range(0, len(costs), QUERY_CHUNK):
            chunk = [uuid for uuid, _ in costs[start : start + QUERY_CHUNK]]
            query = orm.QueryBuilder().append(
                orm.Data, filters={'uuid': {'in': chunk}}, project=['uuid', 'attributes.formula']
            )
            formulas |= dict(query.iterall())
        return [(formulas[uuid], seconds) for uuid, seconds in costs if uuid in formulas]

    def __str__(self) -> str:
        counts = self.counts
        return f'label ledger: {counts["labelled"]} of {counts["total"]} labelled, {counts["failed"]} failed'
