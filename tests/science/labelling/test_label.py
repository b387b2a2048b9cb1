"""What an ASE calculator may answer, and what is refused as a label."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from aiida_traincraft.science.labelling.label import LabelError, label
from aiida_traincraft.science.structure import Structure


class Spoilt(EMT):
    """EMT whose results are changed."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        self.change(self.results)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'energy': -1e30, 'free_energy': -1e30}, 'energy holds 1e.30, which no unit of ours explains'),
        ({'energy': -1.1e6, 'free_energy': -1.1e6}, 'below the -.* eV of all electrons'),
        ({'forces': np.full((1, 3), 1e9)}, 'forces holds'),
        ({'forces': np.full((1, 3), 0.1 + 0.2j)}, 'forces is complex'),
        ({'forces': np.full((1, 3), np.nan)}, 'forces is not finite'),
        ({'forces': np.zeros((2, 3))}, r'forces has shape \(2, 3\)'),
    ],
)
def test_numbers_that_cannot_be_meant_are_no_label(change, message):
    structure = Structure(bulk('Cu'))
    assert label(structure, EMT(), 0.5).properties['energy'] == pytest.approx(0.0, abs=0.1)
    with pytest.raises(LabelError, match=message):
        label(structure, Spoilt(lambda results: results.update(change)), 0.5)
