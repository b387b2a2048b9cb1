"""No holes: what a potential says of atoms that come closer than in any training structure."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.md.nptberendsen import NPTBerendsen
from ase.md.velocitydistribution import thermalize_momenta
from scipy.optimize import minimize

from aiida_traincraft.science.config.training.pace_linear import PaceLinearTraining
from aiida_traincraft.science.models.ace import PaceCalculator
from aiida_traincraft.science.models.ace_file import add_core_repulsion, core_onsets, shortest_distances
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.training.ace import repulsion
from aiida_traincraft.science.training.ace.approaches import approaches
from aiida_traincraft.science.training.ace.basis import basis_config
from aiida_traincraft.science.training.ace.design import RowBuilder
from aiida_traincraft.science.training.ace.evidence import Posterior
from aiida_traincraft.science.training.ace.linear import fit_linear, save_potential

pyace = pytest.importorskip('pyace')

E0 = {'Au': 0.0, 'Cu': 0.0, 'H': 0.0, 'O': 0.0}


def labelled(atoms, calculator):
    atoms = atoms.copy()
    atoms.calc = calculator
    properties = {'energy': atoms.get_potential_energy(), 'forces': atoms.get_forces()}
    if atoms.pbc.all():
        properties['stress'] = atoms.get_stress()
    atoms.calc = None
    return Structure(atoms, properties)


def rattled(cell, rng, stdev=0.06, strain=0.02):
    atoms, deformation = cell.copy(), rng.normal(scale=strain, size=(3, 3))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + (deformation + deformation.T) / 2), scale_atoms=True)
    atoms.positions += rng.normal(scale=stdev, size=atoms.positions.shape)
    return atoms


def copper(count):
    rng = np.random.default_rng(3)
    return [labelled(rattled(bulk('Cu', cubic=True), rng), EMT()) for _ in range(count)]


def copper_gold(count):
    rng = np.random.default_rng(4)
    frames = []
    for _ in range(count):
        share = rng.choice([0.25, 0.5, 0.75])
        cell = bulk('Cu', a=3.6 + 0.45 * share, cubic=True).repeat((2, 1, 1))
        cell.numbers[rng.permutation(8)[: round(8 * share)]] = 79
        frames.append(labelled(rattled(cell, rng, stdev=0.05), EMT()))
    return frames


def water(count):
    """Molecules of harmonic bonds and angle: close to those of water, and as stiff."""
    rng = np.random.default_rng(5)
    frames = []
    for _ in range(count):
        atoms = molecule('H2O')
        atoms.positions += rng.normal(scale=0.05, size=(3, 3))
        energy, forces = -9.0, np.zeros((3, 3))
        for (a, b), rest, constant in (((0, 1), 0.97, 48.0), ((0, 2), 0.97, 48.0), ((1, 2), 1.53, 10.0)):
            bond = atoms.positions[b] - atoms.positions[a]
            length = np.linalg.norm(bond)
            energy += 0.5 * constant * (length - rest) ** 2
            pull = constant * (length - rest) * bond / length
            forces[a] += pull
            forces[b] -= pull
        frames.append(Structure(atoms, {'energy': energy, 'forces': forces}))
    return frames


def quiet(line):
    """Drop the progress."""


def unbound(monkeypatch):
    """Fits as they were: by the data alone, with the usual onset of the core repulsion."""
    monkeypatch.setattr(
        'aiida_traincraft.science.training.ace.linear.bound_fit',
        lambda builder, posterior, frames, shortest, n_labels: (None, core_onsets(builder.elements, shortest)),
    )


def trained(frames, tmp_path, **keys):
    elements = {symbol for frame in frames for symbol in frame.atoms.get_chemical_symbols()}
    config, e0 = PaceLinearTraining(**keys), {element: E0[element] for element in elements}
    fit = fit_linear(frames, config, e0, 1, report=quiet)
    save_potential(fit, tmp_path / 'potential.yaml', config, e0)
    return fit, PaceCalculator(tmp_path / 'potential.yaml', e0)


def energies(calculator, frames):
    found = []
    for frame in frames:
        atoms = frame.copy()
        atoms.calc = calculator
        found.append(atoms.get_potential_energy() / len(atoms))
    return np.array(found)


def compressed(cell, distances):
    """Crystals with nearest neighbours at these distances."""
    nearest = cell.get_all_distances(mic=True)[0, 1:].min()
    frames = []
    for distance in distances:
        atoms = cell.copy()
        atoms.set_cell(cell.cell * distance / nearest, scale_atoms=True)
        frames.append(atoms)
    return frames


def dimers(pair, distances):
    return [Atoms(pair, [[0, 0, 0], [distance, 0, 0]]) for distance in distances]


ORDERED = Atoms('Cu2Au2', bulk('Cu', a=3.83, cubic=True).positions, cell=[3.83] * 3, pbc=True)
INWARDS = np.arange(2.2, 1.2, -0.02)


def test_compressed_alloy(tmp_path, monkeypatch):
    frames = copper_gold(40)
    fit, calculator = trained(frames, tmp_path)
    told = energies(calculator, compressed(ORDERED, [2.23, 1.98, 1.84]))
    truth = energies(EMT(), compressed(ORDERED, [2.23, 1.98, 1.84]))
    assert (np.diff(told) > 1.0).all()
    assert (np.diff(truth) > 1.0).all()
    assert (np.diff(energies(calculator, compressed(ORDERED, INWARDS))) > 0).all()
    assert all(onset < fit.shortest[pair] for pair, onset in fit.onsets.items())
    # Within the switch of some pairs, and where the core repulsion is alone.
    for part in (0.93, 0.7):
        (atoms,) = compressed(ORDERED, [part * min(fit.onsets.values())])
        atoms.rattle(0.03, seed=1)
        atoms.calc = calculator
        assert atoms.get_forces() == pytest.approx(calculate_numerical_forces(atoms, 1e-4), rel=1e-4, abs=1e-4)
        assert atoms.get_stress() == pytest.approx(calculate_numerical_stress(atoms, 1e-5), rel=1e-4, abs=1e-4)
    unbound(monkeypatch)
    before, hollow = trained(frames, tmp_path)
    assert energies(hollow, compressed(ORDERED, INWARDS)).min() < told[0] - 5.0
    assert fit.train.force_rmse < 1.1 * before.train.force_rmse


def test_alloy_under_pressure(tmp_path):
    _, calculator = trained(copper_gold(40), tmp_path)
    atoms = ORDERED.repeat((2, 2, 2))
    atoms.calc = calculator
    thermalize_momenta(atoms, temperature_K=300.0, rng=np.random.RandomState(0))
    run = NPTBerendsen(
        atoms,
        2.0 * units.fs,
        temperature_K=300.0,
        pressure_au=120.0 * units.GPa,
        taut=100.0 * units.fs,
        taup=300.0 * units.fs,
        compressibility_au=1.0 / (200.0 * units.GPa),
    )
    for _ in range(100):
        run.run(1)
        assert atoms.get_temperature() < 1500.0
    assert atoms.get_all_distances(mic=True)[0, 1:].min() > 1.9


def test_copper_rises_to_the_end(tmp_path):
    _, calculator = trained(copper(25), tmp_path)
    told = energies(calculator, compressed(bulk('Cu', cubic=True), [1.70, 1.56]))
    assert told[1] > told[0] > energies(calculator, [bulk('Cu', cubic=True)])[0] + 5.0
    assert (np.diff(energies(calculator, compressed(bulk('Cu', cubic=True), INWARDS))) > 0).all()


def test_a_hotter_run_meets_no_wall(tmp_path, monkeypatch):
    """0.3 Å below the shortest distance of cold data, the bounds make the energy better and do not bend it."""
    frames = copper(25)
    _, calculator = trained(frames, tmp_path)
    shortest = min(shortest_distances([frame.atoms for frame in frames], 5.0).values())
    close = compressed(bulk('Cu', cubic=True), shortest - np.array([0.0, 0.1, 0.2, 0.3]))
    truth, told = energies(EMT(), close), energies(calculator, close)
    assert (np.diff(told) > 0).all()
    assert np.diff(told)[:2] == pytest.approx(np.diff(truth)[:2], rel=1.0)
    unbound(monkeypatch)
    _, before = trained(frames, tmp_path)
    assert np.abs(told - truth).max() < np.abs(energies(before, close) - truth).max() + 0.1


def test_bond_of_a_molecule(tmp_path):
    _, calculator = trained(water(45), tmp_path, functions=60)
    atoms, pushed = molecule('H2O'), []
    bond = atoms.positions[1] - atoms.positions[0]
    for distance in (0.97, 0.50, 0.40):
        moved = atoms.copy()
        moved.positions[1] = atoms.positions[0] + distance * bond / np.linalg.norm(bond)
        pushed.append(moved)
    told = energies(calculator, pushed)
    assert (np.diff(told) > 0).all()
    assert 3.0 * (told[1] - told[0]) > 2.0


@pytest.mark.parametrize('pair', [('H', 'H'), ('H', 'O'), ('O', 'O')])
def test_pairs_have_no_barrier_before_a_hole(tmp_path, pair):
    _, calculator = trained(water(45), tmp_path, functions=60)
    onset = 1.3 * repulsion.core_onsets(['H', 'O'], {})[pair] / 0.7
    told = 2.0 * energies(calculator, dimers(pair, np.arange(onset, 0.2, -0.02)))
    lowest = int(told.argmin())
    assert (np.diff(told[lowest:]) > -1e-6).all()
    assert (np.diff(told[: lowest + 1]) < 1e-6).all()


def test_energy_on_the_ways_is_that_of_the_potential(tmp_path):
    frames = [frame.atoms for frame in copper_gold(4)]
    basis = pyace.ACEBBasisSet(basis_config(PaceLinearTraining(), ['Au', 'Cu'], 20))
    builder = RowBuilder(basis)
    coefficients = np.random.default_rng(0).normal(size=len(basis.basis_coeffs))
    shortest = shortest_distances(frames, 5.5)
    onsets = {pair: 0.5 * (onset + shortest[pair]) for pair, onset in core_onsets(['Au', 'Cu'], shortest).items()}
    ways = approaches(basis, frames, shortest)
    basis.basis_coeffs = list(coefficients)
    potential = basis.to_BBasisConfiguration()
    add_core_repulsion(potential, onsets)
    calculator = pyace.PyACECalculator(potential)
    assert {way.is_compressed for way in ways} == {True, False}
    for way in ways:
        for step in way.steps[::3]:
            share = step.share(onsets)
            expected = share * (builder.atom_rows(step.atoms) @ coefficients) + (1.0 - share) * step.core
            atoms = step.atoms.copy()
            atoms.calc = calculator
            atoms.get_potential_energy()
            assert calculator.results['energies'] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_most_probable_coefficients_are_those_of_a_general_solver():
    rng = np.random.default_rng(2)
    factor = np.linalg.qr(rng.normal(size=(30, 6)), mode='r')
    posterior = Posterior(rng.normal(size=6), factor, {}, np.ones(6), 0.0)
    rows, least = rng.normal(size=(4, 6)), rng.normal(size=4) + 1.0
    bounds = repulsion.Bounds(rows, least, [('Cu', 'Cu')] * 4)
    coefficients, costs = repulsion.most_probable(posterior, bounds)

    def distance(candidate):
        return float(np.sum((factor @ (candidate - posterior.mean)) ** 2))

    expected = minimize(
        distance,
        posterior.mean,
        method='SLSQP',
        constraints={'type': 'ineq', 'fun': lambda candidate: rows @ candidate - least},
        options={'ftol': 1e-12},
    )
    assert coefficients == pytest.approx(expected.x, abs=1e-3)
    assert costs.sum() == pytest.approx(distance(expected.x), rel=1e-3)
    assert (rows @ coefficients > least - 1e-3).all()


def test_onset_of_any_potential_is_above_its_hole():
    frames = [frame.atoms for frame in copper(10)]
    shortest = shortest_distances(frames, 5.5)
    basis = pyace.ACEBBasisSet(basis_config(PaceLinearTraining(), ['Cu'], 10))
    coefficients = np.zeros(len(basis.basis_coeffs))
    coefficients[0] = -20.0
    basis.basis_coeffs = list(coefficients)
    onsets = repulsion.repelling_onsets(basis, frames, shortest)
    usual = core_onsets(['Cu'], shortest)['Cu', 'Cu']
    assert usual < onsets['Cu', 'Cu'] < shortest['Cu', 'Cu']
    coefficients[0] = 2.0
    basis.basis_coeffs = list(coefficients)
    assert repulsion.repelling_onsets(basis, frames, shortest) == {('Cu', 'Cu'): usual}
