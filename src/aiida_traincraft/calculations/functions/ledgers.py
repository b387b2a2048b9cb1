"""What is left to label."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_traincraft.data.ledger import LedgerData, LedgerRow
from aiida_traincraft.data.manifest import ManifestData


@calcfunction
def failed_structures(**ledgers: LedgerData) -> ManifestData:
    """List the structures without a label.

    Parameters
    ----------
    **ledgers
        Ledgers in the order of their keys; of several rows of a structure, the last counts.
    """
    rows = unlabelled([ledger for _, ledger in sorted(ledgers.items())])
    return ManifestData([row.structure for row in rows], [row.fingerprint for row in rows])


def unlabelled(ledgers: list[LedgerData]) -> list[LedgerRow]:
    """Last row of every structure that has no label, in the order in which they were sent."""
    last = {row.structure: row for ledger in ledgers for row in ledger.rows}
    return [row for row in last.values() if row.label is None]


@calcfunction
def skip_structures(structures: ManifestData, reason: orm.Str) -> LedgerData:
    """Tell of structures that nothing was run for, and why."""
    pairs = zip(structures.uuids, structures.fingerprints, strict=True)
    return LedgerData([LedgerRow(uuid, digest, 'skipped', reason=reason.value, tries=0) for uuid, digest in pairs])


@calcfunction
def merge_ledgers(**ledgers: LedgerData) -> LedgerData:
    """Join ledgers in the order of their keys."""
    return LedgerData([row for _, ledger in sorted(ledgers.items()) for row in ledger.rows])
