"""Calculator ``gpaw``; GPAW itself may not be installed."""

from __future__ import annotations

import importlib.util
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from pydantic import ValidationError

from aiida_traincraft.science.calculators import make_calculator
from aiida_traincraft.science.calculators.gpaw import GpawConfig
from aiida_traincraft.science.optional import MissingLibraryError


@pytest.fixture
def gpaw_that_is_emt(monkeypatch):
    """Put EMT in the place of GPAW and keep what it is made with."""
    seen = []

    class Seen(EMT):
        def calculate(self, atoms, *arguments):
            seen[-1]['moments'] = atoms.get_initial_magnetic_moments().tolist()
            super().calculate(atoms, *arguments)

    def make(**arguments):
        seen.append(arguments)
        return Seen()

    monkeypatch.setitem(sys.modules, 'gpaw', SimpleNamespace(GPAW=make))
    return seen


@pytest.mark.skipif(importlib.util.find_spec('gpaw') is not None, reason='GPAW is installed')
def test_without_gpaw():
    with pytest.raises(MissingLibraryError, match=r'calculator "gpaw" needs gpaw.*pip install "gpaw>='):
        make_calculator(GpawConfig())


def test_arguments_and_results_with_a_stand_in_for_gpaw(gpaw_that_is_emt):
    atoms = bulk('Cu', a=3.7)
    atoms.calc = make_calculator(GpawConfig(ecut=300.0, kpoints_distance=0.5, smearing=0.1))
    assert np.isfinite(atoms.get_potential_energy())
    assert atoms.get_stress().shape == (6,)
    assert gpaw_that_is_emt == [
        {
            'mode': {'name': 'pw', 'ecut': 300.0},
            'xc': 'PBE',
            'kpts': (6, 6, 6),
            'txt': None,
            'occupations': {'name': 'fermi-dirac', 'width': 0.1},
            'moments': [0.0],
        }
    ]


def test_a_molecule_with_a_stand_in_for_gpaw(gpaw_that_is_emt):
    atoms = Atoms('Cu2', [[0, 0, 0], [0, 0, 2.3]])
    atoms.calc = make_calculator(GpawConfig(parameters={'maxiter': 50}))
    assert atoms.get_forces().shape == (2, 3)
    assert 'stress' not in atoms.calc.results
    assert gpaw_that_is_emt[0]['kpts'] == (1, 1, 1)
    assert gpaw_that_is_emt[0]['maxiter'] == 50
    assert not atoms.pbc.any()


def test_an_isolated_atom_with_a_stand_in_for_gpaw(gpaw_that_is_emt):
    atom = Atoms('Cu')
    atom.calc = make_calculator(GpawConfig())
    assert np.isfinite(atom.get_potential_energy())
    assert gpaw_that_is_emt[0]['moments'] == [1.0]


def test_arguments_that_have_a_key():
    with pytest.raises(ValidationError, match='"parameters" cannot set kpts, mode'):
        GpawConfig(parameters={'mode': 'fd', 'kpts': [1, 1, 1]})
