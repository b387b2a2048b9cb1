"""Where explorations start."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_traincraft.data.dataset import DatasetData, DatasetRow, iterate_rows, label_attributes
from aiida_traincraft.data.frames.pool import FramesData
from aiida_traincraft.science.seeds import derive_seed


@calcfunction
def choose_starts(dataset: DatasetData, parameters: orm.Dict) -> FramesData:
    """Draw training structures to start from.

    Parameters
    ----------
    dataset
        What the potential was trained on.
    parameters
        ``systems``: names, ``runs_per_system``, ``seed``.
    """
    options = parameters.get_dict()
    by_system: defaultdict[str | None, list[DatasetRow]] = defaultdict(list)
    rows = [row for row in dataset.rows if row.split == 'train']
    for row, (system,) in zip(rows, label_attributes([row.label for row in rows], 'system'), strict=True):
        by_system[system].append(row)
    starts: list[DatasetRow] = []
    for name in options['systems']:
        found = by_system.get(name, [])
        rng = np.random.default_rng(derive_seed(options['seed'], 'starts', name))
        count = min(options['runs_per_system'], len(found))
        starts += [found[index] for index in rng.choice(len(found), size=count, replace=False)] if found else []
    return FramesData([structure.bare() for structure in iterate_rows(starts)])
