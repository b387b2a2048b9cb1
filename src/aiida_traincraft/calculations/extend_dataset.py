"""Datasets and ledgers that grow by what was labelled."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction
from aiida.engine.processes import Process

from aiida_traincraft.calculations.select_structures import ISOLATED_ATOM
from aiida_traincraft.data.bulk import link_inputs
from aiida_traincraft.data.dataset import DatasetData, DatasetRow, isolated_atom_energies
from aiida_traincraft.data.ledger import LedgerData
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.data.reading import read_structures


@calcfunction
def extend_dataset(labels: ManifestData, split: orm.Str, previous: DatasetData | None = None) -> DatasetData:
    """Add labels to a dataset (or begin one).

    Parameters
    ----------
    labels
        The new labels; isolated atoms among them give E0 and get the split ``e0``.
    split
        Split of the new labels.
    previous
        Dataset to extend.
    """
    link_inputs(Process.current().node, labels.uuids, 'members')
    rows = previous.rows if previous else []
    levels = previous.levels_of_theory if previous else []
    e0 = previous.e0 if previous else {}
    structures = read_structures(labels.uuids)
    atoms = [structure for structure in structures if structure.provenance.get('system') == ISOLATED_ATOM]
    for uuid, fingerprint, structure in zip(labels.uuids, labels.fingerprints, structures, strict=True):
        isolated = structure.provenance.get('system') == ISOLATED_ATOM
        rows.append(DatasetRow(uuid, fingerprint, structure.content_hash(), split='e0' if isolated else split.value))
    new_levels = [structure.provenance['level_of_theory'] for structure in structures]
    return DatasetData(rows, [*levels, *new_levels], e0 | isolated_atom_energies(atoms))


@calcfunction
def merge_ledgers(**ledgers: LedgerData) -> LedgerData:
    """Join ledgers in the order of their keys."""
    return LedgerData([row for _, ledger in sorted(ledgers.items()) for row in ledger.rows])


@calcfunction
def merge_manifests(**manifests: ManifestData) -> ManifestData:
    """Join manifests in the order of their keys."""
    nodes = [node for _, node in sorted(manifests.items())]
    return ManifestData([u for node in nodes for u in node.uuids], [f for node in nodes for f in node.fingerprints])
