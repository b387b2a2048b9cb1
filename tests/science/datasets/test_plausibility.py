from __future__ import annotations

import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet

from aiida_traincraft.science.datasets.consistency import Consistency
from aiida_traincraft.science.datasets.plausibility import check_frame
from aiida_traincraft.science.datasets.refusals import FrameError
from aiida_traincraft.science.structure import Structure


def label(atoms) -> Structure:
    atoms = atoms.copy()
    atoms.calc = EMT()
    properties = {'energy': atoms.get_potential_energy(), 'forces': atoms.get_forces(), 'stress': atoms.get_stress()}
    return Structure(atoms, properties)


@pytest.fixture(scope='module')
def trajectory():
    atoms = bulk('Cu', cubic=True).repeat((2, 1, 1))
    MaxwellBoltzmannDistribution(atoms, temperature_K=900, rng=np.random.RandomState(1))
    atoms.calc = EMT()
    frames = []
    dynamics = VelocityVerlet(atoms, 2 * units.fs)
    dynamics.attach(lambda: frames.append(label(atoms)), interval=10)
    dynamics.run(200)
    return frames


@pytest.fixture(scope='module')
def strained():
    atoms = bulk('Cu', cubic=True).repeat((2, 1, 1))
    frames = []
    for number, scale in enumerate(np.random.default_rng(3).uniform(-0.01, 0.02, 20)):
        copy = atoms.copy()
        copy.set_cell(copy.cell.array * (1 + scale), scale_atoms=True)
        copy.rattle(0.02, seed=number)
        frames.append(label(copy))
    return frames


def verdicts(frames, energy=1.0, forces=1.0, stress=1.0):
    consistency = Consistency()
    for frame in frames:
        values = frame.properties
        scaled = {'energy': values['energy'] * energy, 'forces': values['forces'] * forces}
        consistency.add(Structure(frame.atoms, scaled | {'stress': values['stress'] * stress}))
    return consistency.verdicts()


@pytest.mark.parametrize(
    ('factors', 'meaning'),
    [
        ({'forces': -1.0}, 'forces have the wrong sign'),
        ({'forces': units.Bohr / units.Hartree}, 'forces seem to be in hartree/bohr'),
        ({'forces': units.Bohr / units.Rydberg}, 'forces seem to be in rydberg/bohr'),
        ({'energy': 1 / units.Hartree}, 'energy seems to be in hartree'),
        ({'energy': 1 / units.Hartree, 'forces': units.Bohr / units.Hartree}, 'in atomic units'),
        ({'forces': units.mol / units.kcal}, 'in kcal/mol/Å'),
        ({'forces': 1 / units.Hartree}, 'in hartree/Å'),
        ({'forces': units.Bohr}, 'per bohr'),
        ({'energy': 1000.0}, 'energy seems to be in meV'),
        ({'energy': units.mol / units.kJ}, 'energy seems to be in kJ/mol'),
        ({'energy': 1 / 8}, 'those of one atom'),
        ({'energy': 1 / 32}, 'change by 0.03'),
        ({'forces': 3.0}, 'change by 0.32'),
    ],
)
def test_wrong_units_of_a_trajectory_are_named(trajectory, factors, meaning):
    assert verdicts(trajectory) == []
    (text,) = verdicts(trajectory, **factors)
    assert meaning in text


@pytest.mark.parametrize(
    ('factor', 'meaning'),
    [
        (-1.0, 'stress has the wrong sign'),
        (1 / units.GPa, 'stress seems to be in GPa'),
        (-10 / units.GPa, 'in kbar, with the wrong sign'),
        (units.Bohr**3 / units.Hartree, 'stress seems to be in hartree/bohr³'),
        (0.2, 'change by 5.61 times the work of the stress'),
    ],
)
def test_wrong_stress_of_strained_frames_is_named(strained, factor, meaning):
    assert verdicts(strained) == []
    (text,) = verdicts(strained, stress=factor)
    assert meaning in text


@pytest.mark.parametrize(('places', 'name'), [([0, 1, 2, 5, 3, 4], 'VASP'), ([0, 1, 2, 5, 4, 3], 'LAMMPS')])
def test_another_order_of_the_shear_stresses_is_named(places, name):
    atoms, rng, frames = bulk('Cu', cubic=True).repeat((2, 1, 1)), np.random.default_rng(5), []
    for _ in range(20):
        copy = atoms.copy()
        strain = rng.uniform(-0.02, 0.02, (3, 3))
        copy.set_cell(copy.cell.array @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
        frames.append(label(copy))
    assert verdicts(frames) == []
    for frame in frames:
        frame.properties['stress'] = frame.properties['stress'][places]
    (text,) = verdicts(frames)
    assert name in text


def test_unrelated_frames_prove_nothing(copper_frames):
    shuffled = [copper_frames[index] for index in np.random.default_rng(0).permutation(len(copper_frames))]
    assert verdicts(shuffled, forces=3.0) == []


def damaged(name):
    frame = label(bulk('Cu', cubic=True).repeat((2, 1, 1)))
    if name == 'net_force':
        frame.properties['forces'] = frame.properties['forces'] + 0.1
    elif name == 'large_force':
        frame.properties['forces'] = np.array([[500.0, 0, 0], [-500.0, 0, 0], *np.zeros((6, 3))])
    elif name == 'large_stress':
        frame.properties['stress'] = np.full(6, 20.0)
    elif name == 'density':
        frame.atoms.set_cell(frame.atoms.cell * 0.5)
        frame.atoms.positions *= 0.5
    elif name == 'short_distance':
        # Across the boundary of the cell.
        frame.atoms.positions[1] = frame.atoms.positions[0] - [0.2, 0, 0]
    return frame


@pytest.mark.parametrize('rule', ['net_force', 'large_force', 'large_stress', 'density', 'short_distance'])
def test_each_rule_refuses_and_can_be_allowed(rule):
    check_frame(damaged('none'))
    with pytest.raises(FrameError) as caught:
        check_frame(damaged(rule))
    assert caught.value.rule == rule
    check_frame(damaged(rule), [rule])


@pytest.mark.parametrize('value', [np.nan, np.inf, 1e300])
def test_numbers_that_are_none_are_always_refused(value):
    for name in ('energy', 'forces', 'positions', 'cell'):
        frame = label(bulk('Cu', cubic=True))
        if name == 'energy':
            frame.properties['energy'] = value
        elif name == 'cell':
            frame.atoms.cell[0, 0] = value
        else:
            (frame.properties['forces'] if name == 'forces' else frame.atoms.positions)[1, 2] = value
        with pytest.raises(FrameError, match=name):
            check_frame(frame, ['net_force', 'large_force', 'short_distance', 'density'])


def test_large_units_of_stress_are_seen_beside_forces():
    atoms = bulk('Cu', cubic=True).repeat((2, 2, 2))
    rng, frames = np.random.default_rng(4), []
    for _ in range(20):
        copy = atoms.copy()
        copy.set_cell(copy.cell.array * (1 + rng.uniform(-0.003, 0.003)), scale_atoms=True)
        copy.positions += rng.normal(scale=0.02, size=copy.positions.shape)
        frames.append(label(copy))
    assert verdicts(frames) == []
    (text,) = verdicts(frames, stress=1 / units.GPa)
    assert 'stress seems to be in GPa' in text


def test_energies_that_stand_still_are_seen(trajectory):
    (text,) = verdicts(trajectory, energy=0.0)
    assert 'the energies do not change, although forces or stress do work' in text


def test_energies_of_all_electrons_are_plausible():
    frame = label(bulk('Cu', cubic=True))
    frame.properties['energy'] = -44_000.0 * len(frame)
    check_frame(frame)
    # In kcal/mol.
    frame.properties['energy'] *= 23.06
    with pytest.raises(FrameError, match=r'below the .* of all electrons'):
        check_frame(frame)
    check_frame(frame, ['low_energy'])
