from __future__ import annotations

from aiida_traincraft.calculations.functions.ledgers import failed_structures, unlabelled
from aiida_traincraft.data.ledger import LedgerData, LedgerRow


def ledger(**statuses: str) -> LedgerData:
    """Ledger of structures by name; those that fail name their status as reason."""
    rows = []
    for name, status in statuses.items():
        good = status in ('ok', 'recovered', 'reused')
        rows.append(
            LedgerRow(name, f'hash of {name}', status, label='label' if good else None, reason=None if good else status)
        )
    return LedgerData(rows).store()


def test_what_failed_or_was_skipped_in_the_order_in_which_it_was_sent(aiida_profile):
    first = ledger(a='ok', b='failed', c='skipped', d='reused')
    second = ledger(e='recovered', f='failed')
    found = failed_structures(ledger_0000=first, ledger_0001=second)
    assert found.uuids == ['b', 'c', 'f']
    assert found.fingerprints == ['hash of b', 'hash of c', 'hash of f']
    assert found.creator.process_label == 'failed_structures'


def test_of_several_rows_the_last_counts(aiida_profile):
    first, second, third = ledger(a='failed', b='failed', c='ok'), ledger(a='ok', b='failed'), ledger(c='failed')
    assert failed_structures(ledger_0000=first, ledger_0001=second).uuids == ['b']
    # The order of the keys, not that of the arguments.
    assert failed_structures(ledger_0001=second, ledger_0000=first).uuids == ['b']
    assert [row.structure for row in unlabelled([first, second, third])] == ['b', 'c']


def test_nothing_failed(aiida_profile):
    assert len(failed_structures(ledger_0000=ledger(a='ok', b='reused'))) == 0
