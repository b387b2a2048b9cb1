"""Stored labels of a level of theory as a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiida import orm
from aiida.engine import calcfunction
from aiida.engine.processes import Process

from aiida_traincraft.data.bulk import link_inputs
from aiida_traincraft.data.dataset import DatasetData, DatasetRow, isolated_atom_energies, label_attributes
from aiida_traincraft.data.filters import float_numbers
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.data.reading import QUERY_CHUNK, iterate_structures
from aiida_traincraft.science.structure import ISOLATED_ATOM


@calcfunction
def gather_dataset(
    level: orm.Str,
    sealed: DatasetData | None = None,
    labels: ManifestData | None = None,
    filters: orm.Dict | None = None,
) -> DatasetData:
    """Gather the labels that the database holds at a level of theory, those of any test set left out.

    Parameters
    ----------
    level
        Hash of the level.
    sealed
        Test set that must be left out even if its labels are of another level, with what shares a group with it.
    labels
        Take only these.
    filters
        Take only labels that these filters of the QueryBuilder on ``LabelData`` match; isolated atoms are taken anyway.
        A key of a ``Dict`` itself cannot have a dot: ``{'and': [{'attributes.n_atoms': {'<': 9}}]}``.

    Raises
    ------
    ValueError
        If there is no such label, or isolated atoms of one element differ in energy.
    """
    process = Process.current().node
    # The database may hold more labels next time.
    process.base.caching.is_valid_cache = False
    rows, n_tested = choose_labels(level.value, sealed, labels, filters)
    if n_tested:
        Process.current().report(f'{n_tested} labels are left out: their structures or trajectories are in test sets')
    link_inputs(process, [row.label for row in rows], 'members')
    atoms = iterate_structures([row.label for row in rows if row.split == 'e0'])
    return DatasetData(rows, [level.value], isolated_atom_energies(atoms))


def choose_labels(
    level: str, sealed: DatasetData | None = None, labels: ManifestData | None = None, filters: orm.Dict | None = None
) -> tuple[list[DatasetRow], int]:
    """Choose the labels that :func:`gather_dataset` would take, and count those that test sets keep from it.

    Raises
    ------
    ValueError
        If there is none to train on.
    """
    known = {row.structure for row in sealed.rows} if sealed is not None else set()
    groups = _groups(sealed) if sealed is not None else set()
    tests = orm.QueryBuilder().append(
        DatasetData,
        filters={'attributes.levels_of_theory': {'contains': [level]}, 'attributes.n_test': {'>': 0.0}},
    )
    # What such a dataset has from its parent is found with the parent.
    known |= {row.structure for dataset in tests.all(flat=True) for row in dataset.new_rows if row.split == 'test'}
    tested, n_tested, rows = frozenset(known), 0, []
    for uuid, fingerprint, structure, system, group in _found(level, labels, filters):
        if structure in tested or (group in groups and system != ISOLATED_ATOM):
            n_tested += 1
        # Twins of one structure, labelled in different campaigns, count once.
        elif structure not in known:
            known.add(structure)
            rows.append(DatasetRow(uuid, fingerprint, structure, 'e0' if system == ISOLATED_ATOM else 'train'))
    if not any(row.split == 'train' for row in rows):
        there = [f'{len(rows)} isolated atoms' * bool(rows), f'{n_tested} structures of test sets' * bool(n_tested)]
        found = ' and '.join(filter(None, there))
        if not found:
            raise ValueError(f'there is no such label of the level of theory {level}')
        raise ValueError(f'nothing to train on: there are only {found}')
    return rows, n_tested


def _groups(dataset: DatasetData) -> set[str]:
    """Groups that a test set has structures of."""
    labels = [row.label for row in dataset.rows if row.split == 'test']
    return {group for (group,) in label_attributes(labels, 'group') if group is not None}


def _found(level: str, labels: ManifestData | None, filters: orm.Dict | None) -> Iterator[list[Any]]:
    """UUID, fingerprint, structure, system and group of the labels, in the order in which they were made."""
    conditions: list[dict[str, Any]] = [{'attributes.level_of_theory': level}]
    if filters is not None:
        isolated = {'attributes.system': ISOLATED_ATOM}
        conditions.append({'or': [float_numbers(filters.get_dict()), isolated]})
    uuids = [] if labels is None else labels.uuids
    chunks = [{'uuid': {'in': uuids[start : start + QUERY_CHUNK]}} for start in range(0, len(uuids), QUERY_CHUNK)]
    for chunk in [[]] if labels is None else [[chunk] for chunk in chunks]:
        query = orm.QueryBuilder().append(
            LabelData,
            filters={'and': [*conditions, *chunk]},
            project=['uuid', *(f'attributes.{name}' for name in ('fingerprint', 'structure', 'system', 'group'))],
            tag='label',
        )
        yield from query.order_by({'label': 'id'}).all()
