"""Sampler ``normal_modes``."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from pydantic import ValidationError

from aiida_traincraft.science.sampling import Watch, sample
from aiida_traincraft.science.sampling.normal_modes import HBAR, NormalModesConfig, modes, variances
from aiida_traincraft.science.structure import Structure

STIFFNESS = 30.0


class Spring(Calculator):
    """Two atoms on a spring of length 1 Å."""

    implemented_properties = ('energy', 'forces')

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        bond = atoms.positions[1] - atoms.positions[0]
        length = np.linalg.norm(bond)
        force = STIFFNESS * (length - 1) * bond / length
        self.results = {'energy': STIFFNESS / 2 * (length - 1) ** 2, 'forces': np.array([force, -force])}


@pytest.fixture
def dimer():
    return Structure(Atoms('N2', positions=[[0, 0, 0], [0, 0, 1.05]]))


def test_frequency_of_a_spring(dimer):
    atoms = dimer.atoms.copy()
    atoms.positions[1, 2] = 1.0
    atoms.calc = Spring()
    omega, shapes = modes(atoms, 0.01)
    reduced = 14.007 / 2
    assert omega[-1] == pytest.approx(np.sqrt(STIFFNESS / reduced), rel=1e-4)
    assert np.abs(omega[:-1]).max() * HBAR / units.invcm < 20
    # A unit of the normal coordinate: sum of m u² is 1.
    assert 14.007 * (shapes[-1] ** 2).sum() == pytest.approx(1.0)
    assert atoms.positions[1].tolist() == [0, 0, 1]


@pytest.mark.parametrize('statistics', ['classical', 'quantum'])
def test_spread_of_the_bond(dimer, statistics):
    config = NormalModesConfig(temperature=300, n=2000, statistics=statistics, min_distance=0.0)
    run = sample(dimer, Spring(), None, config, seed=1)
    assert run.end == 'finished'
    assert len(run.frames) == 2000
    assert run.frames[0].provenance['modes'] == 1
    lengths = np.array([frame.atoms.get_distance(0, 1) for frame in run.frames])
    omega = np.sqrt(2 * STIFFNESS / 14.007)
    wanted = units.kB * 300 / STIFFNESS
    if statistics == 'quantum':
        wanted = HBAR / (14.007 * omega) / np.tanh(HBAR * omega / (2 * units.kB * 300))
    # A variance of 2000 draws is known to 3 %; four of its errors are allowed.
    assert lengths.var() == pytest.approx(wanted, rel=4 * np.sqrt(2 / 2000))
    assert lengths.mean() == pytest.approx(1.0, abs=0.01)


def test_molecule_neither_moves_nor_turns():
    atoms = molecule('H2O')
    atoms.calc = EMT()
    omega, shapes = modes(atoms, 0.01)
    assert np.sum(np.abs(omega) * HBAR / units.invcm > 1e-3) == 3
    masses, arms = atoms.get_masses()[:, None], atoms.positions - atoms.get_center_of_mass()
    for shape in shapes[np.abs(omega) * HBAR / units.invcm > 1e-3]:
        assert np.allclose((masses * shape).sum(axis=0), 0)
        assert np.allclose((masses * np.cross(arms, shape)).sum(axis=0), 0)


def test_limits_of_the_variance():
    omega = np.array([0.5])
    hot, cold = 1e6, 1e-3
    assert variances(omega, hot, 'quantum') == pytest.approx(variances(omega, hot, 'classical'), rel=1e-6)
    assert variances(omega, cold, 'quantum') == pytest.approx(HBAR / (2 * omega))


def test_crystal_has_no_translations(crystal):
    config = NormalModesConfig(temperature=300, n=4)
    runs = [sample(crystal, EMT(), None, config, seed) for seed in (1, 1, 2)]
    frames = runs[0].frames
    assert frames[0].provenance['modes'] == 9
    for frame in frames:
        shifts = frame.atoms.positions - crystal.atoms.positions
        assert np.abs(shifts.mean(axis=0)).max() < 1e-8
        assert 0.01 < shifts.std() < 0.3
        assert frame.properties == {}
    hashes = [[frame.content_hash() for frame in run.frames] for run in runs]
    assert hashes[0] == hashes[1] != hashes[2]


def test_every_frame_is_watched(crystal, doubtful):
    calculator = doubtful(crystal.atoms)
    config = NormalModesConfig(temperature=600, n=20)
    run = sample(crystal, calculator, None, config, 1, Watch(lo=0.15, check_interval=10))
    assert 0 < len(run.frames) < 20
    assert all(frame.properties['uncertainty'].max() > 0.15 for frame in run.frames)
    assert all({'energy', 'forces'} <= set(frame.properties) for frame in run.frames)
    halted = sample(crystal, calculator, None, config, 1, Watch(lo=0.1, hi=0.15, check_interval=10))
    assert halted.end == 'halted'
    assert halted.frames[-1].properties['uncertainty'].max() > 0.15


def test_ends(crystal, breaking, dimer):
    assert 'no convergence' in sample(crystal, breaking(5), None, NormalModesConfig(temperature=300)).end
    stiff = NormalModesConfig(temperature=300, min_frequency=9000.0)
    assert sample(dimer, Spring(), None, stiff).end == 'broken: there is no vibration above 9000.0 1/cm'
    dense = NormalModesConfig(temperature=300, min_distance=2.0)
    assert sample(dimer, Spring(), None, dense).end.startswith('broken: all 100 tries of a frame gave two atoms too')


def test_errors(crystal):
    with pytest.raises(ValueError, match='"normal_modes" needs a calculator'):
        sample(crystal, None, None, NormalModesConfig(temperature=300))
    with pytest.raises(ValueError, match='takes up to 2000 atoms; Cu2048 has more'):
        sample(Structure(crystal.atoms.repeat(8)), EMT(), None, NormalModesConfig(temperature=300))
    for keys in ({}, {'temperature': 0.0}, {'temperature': 300, 'displacement': 1.0}):
        with pytest.raises(ValidationError):
            NormalModesConfig(**keys)
