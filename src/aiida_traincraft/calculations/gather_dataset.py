"""All labels of a level of theory as a dataset."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction
from aiida.engine.processes import Process

from aiida_traincraft.calculations.select_structures import ISOLATED_ATOM
from aiida_traincraft.data.bulk import link_inputs
from aiida_traincraft.data.dataset import DatasetData, DatasetRow, isolated_atom_energies
from aiida_traincraft.data.label import LabelData
from aiida_traincraft.data.reading import read_structures


@calcfunction
def gather_dataset(level: orm.Str, sealed: DatasetData | None = None) -> DatasetData:
    """Gather the labels that the database holds at a level of theory, those of any test set left out.

    Parameters
    ----------
    level
        Hash of the level.
    sealed
        Test set that must be left out even if its labels are of another level.

    Raises
    ------
    ValueError
        If there is no such label.
    """
    process = Process.current().node
    # The database may hold more labels next time.
    process.base.caching.is_valid_cache = False
    query = orm.QueryBuilder().append(
        LabelData,
        filters={'attributes.level_of_theory': level.value},
        project=['uuid', 'attributes.fingerprint', 'attributes.structure', 'attributes.system'],
        tag='label',
    )
    query.order_by({'label': 'id'})
    known = {row.structure for row in sealed.rows} if sealed is not None else set()
    tests = orm.QueryBuilder().append(
        DatasetData, filters={'attributes.levels_of_theory': {'contains': [level.value]}, 'attributes.n_test': {'>': 0}}
    )
    known |= {row.structure for (dataset,) in tests.iterall() for row in dataset.rows if row.split == 'test'}
    rows = []
    for uuid, fingerprint, structure, system in query.iterall():
        # Twins of one structure, labelled in different campaigns, count once.
        if structure not in known:
            known.add(structure)
            rows.append(DatasetRow(uuid, fingerprint, structure, 'e0' if system == ISOLATED_ATOM else 'train'))
    if not any(row.split == 'train' for row in rows):
        raise ValueError(f'the database holds no label of the level of theory {level.value} but those of test sets')
    link_inputs(process, [row.label for row in rows], 'members')
    atoms = read_structures([row.label for row in rows if row.split == 'e0'])
    return DatasetData(rows, [level.value], isolated_atom_energies(atoms))
