"""Monte Carlo: averages that are known, detailed balance, molecules that stay whole."""

from __future__ import annotations

import time

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, fcc111, molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from pydantic import ValidationError

from aiida_traincraft.science.atoms.fragments import append, get_fragments, set_fragments
from aiida_traincraft.science.sampling import Watch, sample
from aiida_traincraft.science.sampling.monte_carlo import MonteCarloConfig
from aiida_traincraft.science.structure import Structure

TEMPERATURE = 500.0
KT = units.kB * TEMPERATURE


class Function(Calculator):
    """Energy (eV) by a function of the atoms, forces of zero; the uncertainty grows with the first atom's x."""

    implemented_properties = ('energy', 'forces')
    with_uncertainty = False

    def __init__(self, energy):
        super().__init__()
        self.energy = energy

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {'energy': self.energy(self.atoms), 'forces': np.zeros((len(self.atoms), 3))}
        if self.with_uncertainty:
            self.results['uncertainty'] = np.abs(self.atoms.positions[:, 0])


def run(atoms, calculator, seed=1, watch=None, **keys):
    config = MonteCarloConfig.model_validate(
        {'type': 'monte_carlo', 'temperature': TEMPERATURE, 'min_distance': 0.0} | keys
    )
    return sample(Structure(atoms), calculator, None, config, seed, watch)


def block_average(values, blocks=20):
    """Mean and its standard error."""
    means = np.array([block.mean() for block in np.array_split(np.asarray(values), blocks)])
    return means.mean(), means.std(ddof=1) / np.sqrt(blocks)


def test_energy_of_a_harmonic_system():
    atoms = Atoms('Ar3', [[0, 0, 0], [5, 0, 0], [0, 5, 0]])
    start = atoms.positions.copy()
    calculator = Function(lambda atoms: 0.5 * 2.0 * ((atoms.positions - start) ** 2).sum())
    found = run(atoms, calculator, steps=20000, equilibration=500, n=4000, max_translation=0.3)
    energies = [0.5 * 2.0 * ((frame.atoms.positions - start) ** 2).sum() for frame in found.frames]
    mean, error = block_average(energies)
    # Equipartition: kT/2 for each of nine coordinates.
    assert error < 0.1 * KT
    assert mean == pytest.approx(4.5 * KT, abs=3 * error)


def test_volume_of_an_ideal_gas():
    atoms = Atoms('Ar4', np.random.default_rng(0).uniform(0, 10, (4, 3)), cell=[10, 10, 10], pbc=True)
    pressure = 4 * KT / 800.0 / units.GPa
    found = run(
        atoms, Function(lambda atoms: 0.0), steps=12000, equilibration=500, n=3000, pressure=pressure,
        moves={'volume': 1.0}, max_ln_volume=0.8,
    )  # fmt: skip
    mean, error = block_average([frame.atoms.get_volume() for frame in found.frames])
    # Moves in ln V: V is distributed as V^N exp(-pV/kT).
    expected = 5 * KT / (pressure * units.GPa)
    assert error < 0.05 * expected
    assert mean == pytest.approx(expected, abs=3 * error)


def test_swaps_reach_boltzmann_populations():
    sites = np.array([[0, 0, 0], [4, 0, 0], [8, 0, 0], [12, 0, 0]], float)
    gap = 1.5 * KT
    calculator = Function(lambda atoms: gap * float(atoms.positions[list(atoms.symbols).index('Au')][0] < 1))
    found = run(Atoms('AuCu3', sites), calculator, steps=6000, n=6000, moves={'swap': 1.0})
    at_first = [float(frame.atoms.positions[list(frame.atoms.symbols).index('Au')][0] < 1) for frame in found.frames]
    mean, error = block_average(at_first)
    weight = np.exp(-gap / KT)
    assert mean == pytest.approx(weight / (3 + weight), abs=3 * error)
    assert error < 0.02
    assert {frame.formula for frame in found.frames} == {'AuCu3'}


def test_molecules_stay_whole_and_the_framework_where_it_is():
    atoms = fcc111('Cu', (2, 2, 2), vacuum=8.0)
    guest = molecule('CH3CH2OH')
    guest.translate([1.0, 1.0, 14.0] - guest.positions[2])
    append(atoms, guest)
    bonds = guest.get_all_distances()
    found = run(
        atoms, Function(lambda atoms: 0.0), steps=200, n=20, moves={'translate': 1.0, 'rotate': 1.0, 'conformer': 1.0}
    )
    for frame in found.frames:
        np.testing.assert_array_equal(frame.atoms.positions[:8], atoms.positions[:8])
        moved = frame.atoms[get_fragments(frame.atoms) == 0]
        np.testing.assert_array_equal(get_fragments(frame.atoms), get_fragments(atoms))
        near = bonds < 1.6
        np.testing.assert_allclose(moved.get_all_distances()[near], bonds[near], atol=1e-8)
    last = found.frames[-1].atoms[8:].get_all_distances()
    assert np.abs(last - bonds).max() > 0.1
    assert found.acceptance == {'translate': 1.0, 'rotate': 1.0, 'conformer': 1.0}
    assert found.frames[0].provenance['acceptance'] == found.acceptance


def test_alloy_with_emt_and_the_same_seed():
    atoms = bulk('Cu', a=3.85, cubic=True).repeat((2, 1, 1))
    atoms.symbols[:4] = 'Au'
    keys = {'steps': 60, 'n': 3, 'moves': {'translate': 1.0, 'swap': 1.0}, 'min_distance': 0.6, 'max_translation': 0.1}
    first, again, other = (run(atoms, EMT(), seed, **keys) for seed in (1, 1, 2))
    hashes = [[frame.content_hash() for frame in found.frames] for found in (first, again, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert first.end == 'finished'
    assert first.steps == 60
    assert [frame.provenance['step'] for frame in first.frames] == [20, 40, 60]
    assert 0 < first.acceptance['translate'] < 1


def test_accepted_states_are_recorded():
    found = run(Atoms('Ar'), Function(lambda atoms: 0.0), steps=50, n=5, record='accepted')
    assert [frame.provenance['step'] for frame in found.frames] == [1, 2, 3, 4, 5]


def test_uncertain_states_are_kept_and_end_the_run():
    calculator = Function(lambda atoms: -0.5 * atoms.positions[0, 0])
    found = run(Atoms('Ar'), calculator, steps=5000, watch=Watch(lo=1.0, hi=3.0, check_interval=1))
    assert found.end == 'halted'
    largest = [frame.properties['uncertainty'].max() for frame in found.frames]
    assert min(largest) > 1.0
    assert found.max_uncertainty == largest[-1] > 3.0
    assert calculator.with_uncertainty is False


def test_the_deadline_ends_the_run():
    found = run(Atoms('Ar'), Function(lambda atoms: 0.0), steps=10000, watch=Watch(deadline=time.monotonic()))
    assert found.end == 'walltime'
    assert found.steps == 1


def test_energies_that_are_not_finite():
    found = run(Atoms('Ar'), Function(lambda atoms: float('nan')), steps=10)
    assert found.end == 'broken: the energy is not finite'


@pytest.mark.parametrize(
    ('atoms', 'moves', 'told'),
    [
        (bulk('Cu'), {'rotate': 1.0}, 'rotate = 1.0, but there is no molecule of several atoms'),
        (bulk('Cu'), {'swap': 1.0}, 'swap = 1.0, but the framework has atoms of one element only'),
        (Atoms('CuAu', [[0, 0, 0], [0, 0, 3]]), {'volume': 1.0}, 'the cell is not periodic'),
        (bulk('Cu'), {'conformer': 2.0}, 'no molecule has a bond to turn about'),
    ],
)
def test_moves_without_anything_to_move(atoms, moves, told):
    with pytest.raises(ValueError, match=told):
        run(atoms, EMT(), moves=moves)


def test_a_fixed_framework_has_nothing_to_shift():
    with pytest.raises(ValueError, match='framework = "free" frees'):
        run(bulk('Cu'), EMT(), framework='fixed')


@pytest.mark.parametrize(
    ('keys', 'told'),
    [
        ({'moves': {}}, '"moves" has no kind'),
        ({'n': 20, 'steps': 10}, '"n" .20 frames. is larger'),
        ({'moves': {'jump': 1.0}}, 'jump'),
    ],
)
def test_config_errors(keys, told):
    with pytest.raises(ValidationError, match=told):
        MonteCarloConfig(temperature=300.0, **keys)


def test_single_atoms_of_a_molecule_are_no_unit():
    atoms = molecule('H2O')
    set_fragments(atoms, 0)
    found = run(atoms, Function(lambda atoms: 0.0), steps=5, n=1)
    np.testing.assert_allclose(found.frames[0].atoms.get_all_distances(), atoms.get_all_distances(), atol=1e-10)
