from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from ase.calculators.calculator import Calculator
from scipy.interpolate import CubicSpline

from aiida_traincraft.science.baselines import make_baseline
from aiida_traincraft.science.models.delta import DeltaCalculator
from aiida_traincraft.science.models.pair import PairCalculator, PairCurve, lammps_table

LJ = {
    'type': 'lj',
    'pairs': {
        'Cu-Cu': {'epsilon': 0.2, 'sigma': 2.3},
        'Cu-Au': {'epsilon': 0.3, 'sigma': 2.4},
        'Au-Au': {'epsilon': 0.4, 'sigma': 2.5},
    },
    'cutoff': 4.5,
}
R = [1.0, 1.5, 2.0, 2.5, 3.0, 3.9]
TABLE = {
    'type': 'table',
    'pairs': {
        'Cu-Cu': {'r': R, 'energy': [9.0, 3.0, 0.5, -0.2, -0.1, 0.0]},
        'Au-Cu': {'r': R, 'energy': [12.0, 5.0, 1.5, -0.1, -0.2, 0.0]},
        'Au-Au': {'r': R[:5], 'energy': [14.0, 6.0, 2.5, 0.1, 0.0]},
    },
}


def alloy(pbc=True):
    atoms = bulk('Cu', a=3.7, cubic=True).repeat((2, 1, 1))
    atoms.numbers[::3] = 79
    rng = np.random.default_rng(4)
    atoms.positions += rng.normal(0, 0.15, atoms.positions.shape)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0, 0.05, (3, 3))), scale_atoms=True)
    atoms.pbc = pbc
    return atoms


def plain_lj(atoms, table):
    """Lennard-Jones energy (eV) by a double loop over images, with the switch as the documentation has it."""
    cutoff, energy = table['cutoff'], 0.0
    parameters = {tuple(sorted(name.split('-'))): value for name, value in table['pairs'].items()}
    symbols, span = atoms.get_chemical_symbols(), [range(-3, 4) if periodic else (0,) for periodic in atoms.pbc]
    for shift in np.array(np.meshgrid(*span)).reshape(3, -1).T @ atoms.cell.array:
        for i, one in enumerate(symbols):
            for j, other in enumerate(symbols):
                r = np.linalg.norm(atoms.positions[j] + shift - atoms.positions[i])
                if not 1e-9 < r < cutoff:
                    continue
                pair = parameters[tuple(sorted((one, other)))]
                x = max(0.0, (r - cutoff * 2 / 3) / (cutoff / 3))
                both = 4 * pair['epsilon'] * ((pair['sigma'] / r) ** 12 - (pair['sigma'] / r) ** 6)
                energy += 0.5 * both * (1 - 10 * x**3 + 15 * x**4 - 6 * x**5)
    return energy


def check_derivatives(atoms, calculator, step=1e-5):
    """Forces and stress against central differences of the energy."""
    atoms = atoms.copy()
    atoms.calc = calculator
    forces, stress = atoms.get_forces(), atoms.get_stress(voigt=False)

    def energy(changed):
        changed.calc = calculator
        return changed.get_potential_energy()

    for atom, axis in ((0, 0), (1, 2), (3, 1)):
        ends = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[atom, axis] += sign * step
            ends.append(energy(moved))
        assert forces[atom, axis] == pytest.approx(-(ends[0] - ends[1]) / (2 * step), abs=1e-6)
    for row, column in ((0, 0), (1, 2)):
        ends = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[row, column] += sign * step / 2
            strain[column, row] += sign * step / 2
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            ends.append(energy(strained))
        assert stress[row, column] * atoms.get_volume() == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-5)


@pytest.mark.parametrize('atoms', [alloy(), alloy((True, True, False)), alloy(False)], ids=['bulk', 'slab', 'cluster'])
def test_lennard_jones_is_the_formula(atoms):
    atoms.calc = make_baseline(LJ)
    assert atoms.get_potential_energy() == pytest.approx(plain_lj(atoms, LJ), abs=1e-9)
    assert atoms.get_potential_energies().sum() == pytest.approx(atoms.get_potential_energy(), abs=1e-12)
    assert np.abs(atoms.get_forces().sum(axis=0)).max() < 1e-10


@pytest.mark.parametrize('table', [LJ, TABLE], ids=['lj', 'table'])
def test_forces_and_stress_are_derivatives(table):
    check_derivatives(alloy(), make_baseline(table))


@pytest.mark.parametrize('table', [LJ, TABLE], ids=['lj', 'table'])
def test_curves_are_smooth_to_their_end(table):
    for curve in make_baseline(table).curves.values():
        r = np.linspace(0.8, curve.cutoff - 1e-6, 4001)
        energies, slopes = curve.function(r)
        middle = (curve.function(r[1:-1] + 1e-5)[0] - curve.function(r[1:-1] - 1e-5)[0]) / 2e-5
        assert np.allclose(slopes[1:-1], middle, rtol=1e-6, atol=1e-6)
        assert (abs(energies[-1]), abs(slopes[-1])) < (1e-5, 1e-5)


def test_a_table_gives_its_points_and_a_straight_line_below():
    curve = make_baseline(TABLE).curves['Cu', 'Cu']
    assert np.allclose(curve.function(np.array(R[:-1]))[0], TABLE['pairs']['Cu-Cu']['energy'][:-1], atol=1e-12)
    (first, second), slopes = curve.function(np.array([0.5, 0.7]))
    assert slopes[0] == slopes[1] == pytest.approx((second - first) / 0.2)
    assert slopes[0] < 0


@pytest.mark.parametrize('pbc', [True, (True, False, True), False])
def test_neighbours_are_found_anew_in_time(pbc):
    walking, rng = make_baseline(LJ), np.random.default_rng(6)
    atoms = alloy(pbc)
    for step in range(40):
        if step % 15 == 14:
            atoms.set_cell(atoms.cell.array * 0.99, scale_atoms=True)
        elif step % 7 == 6:
            atoms.positions[0] += atoms.cell.array[0] if atoms.pbc[0] else 0.0
        else:
            atoms.positions += rng.normal(0, 0.04, atoms.positions.shape)
        fresh = make_baseline(LJ)
        for name in ('energy', 'forces'):
            found, expected = (calculator.get_property(name, atoms) for calculator in (walking, fresh))
            assert np.allclose(found, expected, rtol=1e-11, atol=1e-11)


def test_what_is_far_away_or_without_curve_does_not_interact():
    dimer = Atoms('CuAu', [[0, 0, 0], [0, 0, 4.5]])
    dimer.calc = make_baseline(LJ)
    assert dimer.get_potential_energy() == 0
    near = Atoms('CuAg', [[0, 0, 0], [0, 0, 2.0]])
    near.calc = make_baseline(LJ)
    assert near.get_potential_energy() == 0
    assert not near.get_forces().any()


@pytest.mark.parametrize('table', [LJ, TABLE], ids=['lj', 'table'])
def test_the_table_for_lammps_is_the_calculator(table):
    calculator = make_baseline(table)
    sections = lammps_table(calculator).split('\n\n')
    assert 'UNITS: metal' in sections[0]
    for (one, other), head, body in zip(sorted(calculator.curves), sections[1::2], sections[2::2], strict=True):
        name, line = head.splitlines()
        assert name == f'{one}-{other}'
        words = line.split()
        assert (words[0], words[1], words[2]) == ('N', '10000', 'RSQ')
        rows = np.array([row.split() for row in body.splitlines()[:10000]], float)
        index, r, energy, force = rows.T
        assert (index == np.arange(1, 10001)).all()
        assert (r[0], r[-1]) == (pytest.approx(float(words[3])), pytest.approx(float(words[4])))
        assert np.allclose(np.diff(r**2), (r[-1] ** 2 - r[0] ** 2) / 9999, rtol=1e-6)
        # As LAMMPS has it: a spline of the energies over the square of the distance.
        derivative = 2 * r * CubicSpline(r**2, energy)(r**2, 1)
        assert np.allclose(derivative[100:-1], -force[100:-1], rtol=1e-5, atol=3e-3)
        for row in (3000, 6000, 9000):
            dimer = Atoms([one, other], [[0, 0, 0], [0, 0, r[row]]])
            dimer.calc = calculator
            assert dimer.get_potential_energy() == pytest.approx(energy[row], rel=1e-12, abs=1e-12)
            assert dimer.get_forces()[1, 2] == pytest.approx(force[row], rel=1e-9, abs=1e-12)


class Learned(Calculator):
    """What was learnt: a harmonic pull to the origin, with an uncertainty."""

    implemented_properties = ['energy', 'forces', 'stress']
    uncertainty = 'spread'
    elements = ['Cu']

    def __init__(self):
        super().__init__()
        self.with_uncertainty = False

    def calculate(self, atoms=None, properties=(), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        if len(atoms) > 8:
            raise ValueError('too many')
        self.results = {'energy': 0.5 * (atoms.positions**2).sum(), 'forces': -atoms.positions}
        if self.with_uncertainty:
            self.results['uncertainty'] = np.ones(len(atoms))

    def descriptor(self, atoms):
        return np.array([len(atoms)])


def test_the_sum_keeps_what_was_learnt():
    pair = make_baseline(LJ)
    sums = DeltaCalculator(Learned(), pair)
    atoms = alloy(False)
    atoms.calc = sums
    expected = 0.5 * (atoms.positions**2).sum() + plain_lj(atoms, LJ)
    assert atoms.get_potential_energy() == pytest.approx(expected, abs=1e-9)
    assert np.allclose(atoms.get_forces(), -atoms.positions + pair.get_property('forces', atoms), atol=1e-12)
    assert (sums.uncertainty, sums.elements, sums.descriptor(atoms)) == ('spread', ['Cu'], [8])
    assert 'uncertainty' not in sums.results
    sums.with_uncertainty = True
    assert sums.learned.with_uncertainty
    atoms.get_potential_energy()
    assert sums.results['uncertainty'].tolist() == [1.0] * 8
    with pytest.raises(AttributeError, match='gamma'):
        _ = sums.gamma


def test_many_structures_are_summed_one_by_one():
    sums, atoms = DeltaCalculator(Learned(), make_baseline(LJ)), alloy(False)
    first, refused, last = sums.calculate_many([atoms, atoms.repeat((2, 1, 1)), atoms])
    assert first['energy'] == last['energy'] == pytest.approx(sums.get_property('energy', atoms))
    assert isinstance(refused, ValueError)


def test_a_pair_potential_of_ones_own():
    curve = PairCurve(lambda r: ((3.0 - r) ** 2, -2 * (3.0 - r)), 3.0)
    atoms = fcc111('Cu', (2, 2, 2), vacuum=5.0)
    atoms.calc = PairCalculator({('Cu', 'Cu'): curve})
    distance = atoms.get_distance(0, 1)
    # Each of 8 atoms has 9 neighbours at the same distance.
    assert atoms.get_potential_energy() == pytest.approx(8 * 9 / 2 * (3.0 - distance) ** 2)
