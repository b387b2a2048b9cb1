"""Where explorations start."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.frames import FramesData
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
    by_system = defaultdict(list)
    for structure in dataset.get_structures('train'):
        by_system[structure.provenance.get('system')].append(structure.bare())
    starts = []
    for name in options['systems']:
        found = by_system.get(name, [])
        rng = np.random.default_rng(derive_seed(options['seed'], 'starts', name))
        count = min(options['runs_per_system'], len(found))
        starts += [found[index] for index in rng.choice(len(found), size=count, replace=False)] if found else []
    return FramesData(starts)
