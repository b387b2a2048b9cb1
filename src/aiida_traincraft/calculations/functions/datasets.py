"""Datasets and ledgers that grow by what was labelled."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction
from aiida.engine.processes import Process

from aiida_traincraft.data.bulk import link_inputs
from aiida_traincraft.data.dataset import DatasetData, DatasetRow, isolated_atom_energies, label_attributes
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.data.reading import iterate_structures
from aiida_traincraft.science.structure import ISOLATED_ATOM


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

    Raises
    ------
    ValueError
        If isolated atoms of one element, here and in ``previous``, differ in energy.
    """
    # Read once: beside a query, AiiDA reads it anew from the database each time.
    name = split.value
    uuids = labels.uuids
    link_inputs(Process.current().node, uuids, 'members')
    rows, levels = [], set()
    facts = label_attributes(uuids, 'structure', 'system', 'level_of_theory')
    for uuid, fingerprint, (structure, system, level) in zip(uuids, labels.fingerprints, facts, strict=True):
        rows.append(DatasetRow(uuid, fingerprint, structure, 'e0' if system == ISOLATED_ATOM else name))
        levels.add(level)
    atoms = iterate_structures([row.label for row in rows if row.split == 'e0'])
    return DatasetData(rows, levels, isolated_atom_energies(atoms), parent=previous)
