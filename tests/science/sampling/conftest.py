"""What tests of samplers share."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import all_changes
from ase.calculators.emt import EMT

from aiida_traincraft.science.structure import Structure


class DoubtfulEmt(EMT):
    """EMT whose uncertainty is the displacement from a reference (Å)."""

    def __init__(self, reference):
        super().__init__()
        self.reference = reference.positions.copy()
        self.with_uncertainty = False

    def calculate(self, atoms=None, properties=('energy',), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if self.with_uncertainty:
            self.results['uncertainty'] = np.linalg.norm(atoms.positions - self.reference, axis=1)


class BreakingEmt(EMT):
    """EMT that fails after some calculations."""

    def __init__(self, good):
        super().__init__()
        self.good = good

    def calculate(self, *args, **kwargs):
        self.good -= 1
        if self.good < 0:
            raise RuntimeError('no convergence')
        super().calculate(*args, **kwargs)


@pytest.fixture
def crystal():
    """Four atoms of copper with fragments, a property and a provenance."""
    atoms = bulk('Cu', a=3.6, cubic=True)
    atoms.set_array('tc_fragment', np.full(4, -1))
    return Structure(atoms, {'energy': 1.0}, {'system': 'bulk'})


@pytest.fixture
def doubtful():
    return DoubtfulEmt


@pytest.fixture
def breaking():
    return BreakingEmt
