"""What became of every structure that was sent to a labeller."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from aiida_traincraft.data.manifest import JsonFileData

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
        }
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
        return dict(self.base.attributes.get('reasons'))

    def __str__(self) -> str:
        counts = self.counts
        return f'label ledger: {counts["labelled"]} of {counts["total"]} labelled, {counts["failed"]} failed'
