"""Exchange of molecules with a reservoir: numbers of molecules that statistical mechanics knows."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import fcc111, molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from pydantic import ValidationError
from scipy.integrate import trapezoid

from aiida_traincraft.science.atoms.fragments import FRAGMENT, append, get_fragments, molecules, set_fragments
from aiida_traincraft.science.calculators.lennard_jones import LennardJonesConfig, make_lennard_jones
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.sampling import Watch, sample
from aiida_traincraft.science.sampling.monte_carlo import MonteCarloConfig
from aiida_traincraft.science.structure import Structure, read_frames, write_frames
from aiida_traincraft.science.worker.tasks.sample import run as run_task

TEMPERATURE = 300.0
KT = units.kB * TEMPERATURE
BAR = 1e5 * units.Pascal


class Function(Calculator):
    """Energy (eV) by a function of the atoms, forces of zero."""

    implemented_properties = ('energy', 'forces')

    def __init__(self, energy):
        super().__init__()
        self.energy = energy

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {'energy': self.energy(self.atoms), 'forces': np.zeros((len(self.atoms), 3))}


def run(atoms, calculator, seed=1, **keys):
    watch = keys.pop('watch', None)
    table = {'type': 'monte_carlo', 'temperature': TEMPERATURE, 'min_distance': 0.0, 'moves': {'exchange': 1.0}} | keys
    config = MonteCarloConfig.model_validate_json(json.dumps(table))
    return sample(Structure(atoms), calculator, None, config, seed, watch)


def reservoir(mean, volume, name='Ar', limit=200, kt=KT):
    """Reservoir in which an ideal gas has so many molecules in so large a volume (Å³)."""
    return {'name': name, 'fugacity': mean * kt / volume / BAR, 'max_molecules': limit}


def box(edge=10.0, species='Ar', pbc=True):
    """One molecule of a species in a cubic cell."""
    guest = molecule(species) if len(species) > 2 or species == 'N2' else Atoms(species)
    set_fragments(guest, 0)
    guest.set_cell([edge] * 3)
    guest.center()
    guest.pbc = pbc
    return guest


def block_average(values, blocks=20):
    """Mean and its standard error."""
    means = np.array([block.mean() for block in np.array_split(np.asarray(values, float), blocks)])
    return means.mean(), means.std(ddof=1) / np.sqrt(blocks)


def count(found):
    return [len(molecules(frame.atoms)) for frame in found.frames]


def ideal(atoms):
    return 0.0


def test_ideal_gas_has_the_numbers_of_poisson():
    wall = box()
    wall[0].symbol = 'Ne'
    set_fragments(wall, -1)
    found = run(wall, Function(ideal), steps=6000, equilibration=200, n=2000, reservoir=reservoir(3.0, 1000.0))
    numbers = np.array(count(found))
    mean, error = block_average(numbers)
    assert error < 0.2
    assert mean == pytest.approx(3.0, abs=3 * error)
    square, error = block_average((numbers - 3.0) ** 2)
    assert error < 0.5
    assert square == pytest.approx(3.0, abs=3 * error)
    # As many molecules come as go.
    assert found.acceptance['insert'] == pytest.approx(found.acceptance['delete'], abs=0.06)
    assert list(found.acceptance) == ['insert', 'delete']


def test_molecules_are_put_anywhere_in_any_orientation():
    cell = np.array([[9.0, 0, 0], [3.0, 8.0, 0], [0, 2.0, 10.0]])
    start = Atoms('Ne', cell=cell, pbc=True)
    found = run(start, Function(ideal), steps=4000, n=1000, reservoir=reservoir(4.0, 720.0, 'CO'))
    last = [frame.atoms[frame.atoms.arrays[FRAGMENT] == get_fragments(frame.atoms).max()] for frame in found.frames]
    pairs = [pair for pair in last if len(pair) == 2]
    axes = np.array([pair.positions[1] - pair.positions[0] for pair in pairs])
    np.testing.assert_allclose(np.linalg.norm(axes, axis=1), molecule('CO').get_distance(0, 1))
    axes /= np.linalg.norm(axes, axis=1)[:, None]
    np.testing.assert_allclose((axes**2).mean(axis=0), 1 / 3, atol=0.05)
    np.testing.assert_allclose(axes.mean(axis=0), 0, atol=0.06)
    centres = np.array([start.cell.scaled_positions(pair.get_center_of_mass()) for pair in pairs])
    assert centres.min() >= 0
    assert centres.max() < 1
    np.testing.assert_allclose(centres.mean(axis=0), 0.5, atol=0.03)
    np.testing.assert_allclose(centres.var(axis=0), 1 / 12, atol=0.01)


def test_lennard_jones_gas_by_the_second_virial_coefficient():
    calculator = make_lennard_jones(LennardJonesConfig(sigma=3.4, epsilon=0.05, rc=5.6))
    edge = 11.3
    distances = np.linspace(2.0, 5.7, 600)
    energies = []
    for distance in distances:
        pair = Atoms('Ar2', [[0, 0, 0], [0, 0, distance]], calculator=calculator)
        energies.append(pair.get_potential_energy())
    mayer = np.expm1(-np.array(energies) / KT)
    virial = -2 * np.pi * (trapezoid(mayer * distances**2, distances) - 2.0**3 / 3)
    volume, activity = edge**3, 2.0 / edge**3
    # At most two atoms, none of them the last: Z(2)/Z(1) = z (V - 2 B2) / 2.
    ratio = activity * (volume - 2 * virial) / 2
    expected = (1 + 2 * ratio) / (1 + ratio)
    without = (1 + 2 * activity * volume / 2) / (1 + activity * volume / 2)
    found = run(
        box(edge), calculator, steps=4000, equilibration=100, n=2000,
        moves={'exchange': 8.0, 'translate': 1.0}, reservoir=reservoir(2.0, volume, limit=2), max_translation=3.0,
    )  # fmt: skip
    mean, error = block_average(count(found))
    assert expected - without > 5 * error
    assert mean == pytest.approx(expected, abs=3 * error)
    assert set(count(found)) == {1, 2}


def test_what_a_molecule_is_by_itself_does_not_count():
    def energy(atoms):
        # A bond, and a field in half of the cell that the isolated molecule does not feel.
        centres = [atoms.positions[one].mean(axis=0)[0] % 10.0 for one in molecules(atoms)]
        return -9.8 * len(centres) - 1.5 * KT * sum(x < 5.0 for x in centres) * bool(atoms.pbc.all())

    found = run(
        box(species='N2'), Function(energy), steps=4000, equilibration=200, n=1000,
        moves={'exchange': 2.0, 'translate': 1.0, 'rotate': 1.0}, reservoir=reservoir(3.0, 1000.0, 'N2'),
        max_translation=3.0,
    )  # fmt: skip
    mean, error = block_average(count(found))
    average = 1.5 * (1 + np.exp(1.5))
    # Poisson without N = 0, the state without any atom.
    assert mean == pytest.approx(average / (1 - np.exp(-average)), abs=3 * error)
    assert error < 0.1 * average
    for frame in found.frames[::100]:
        for pair in molecules(frame.atoms):
            assert frame.atoms.get_distance(*pair) == pytest.approx(molecule('N2').get_distance(0, 1), abs=1e-8)


def test_walls_where_there_is_no_periodicity():
    found = run(
        box(pbc=[True, True, False]), Function(ideal), steps=4000, equilibration=200, n=1000, max_translation=4.0,
        moves={'exchange': 1.0, 'translate': 1.0}, reservoir=reservoir(4.0, 1000.0),
    )  # fmt: skip
    mean, error = block_average(count(found))
    assert mean == pytest.approx(4.0 / (1 - np.exp(-4.0)), abs=3 * error)
    heights = np.concatenate([frame.atoms.positions[:, 2] for frame in found.frames])
    assert heights.min() >= 0
    assert heights.max() < 10


def test_volume_of_a_framework_with_guests():
    # Osmotic ensemble of an ideal gas: one atom stays, the guests' own pressure zkT works against the outer one.
    start = Atoms('Ne', cell=[10, 10, 10], pbc=True)
    outer, inner = 4 * KT / 1000.0, 2 * KT / 1000.0
    found = run(
        start, Function(ideal), steps=6000, equilibration=200, n=1500, pressure=outer / units.GPa, max_ln_volume=0.8,
        moves={'exchange': 2.0, 'volume': 1.0}, reservoir=reservoir(2.0, 1000.0),
    )  # fmt: skip
    mean, error = block_average([frame.atoms.get_volume() for frame in found.frames])
    expected = 2 * KT / (outer - inner)
    assert error < 0.15 * expected
    assert mean == pytest.approx(expected, abs=3 * error)


def test_other_molecules_and_the_framework_remain():
    slab = fcc111('Cu', (2, 2, 2), a=3.6, vacuum=7.0)
    slab.pbc = True
    slab.set_array('charges', np.arange(8.0))
    other = molecule('CH3CH2OH')
    other.translate([1.0, 1.0, 13.0] - other.positions[2])
    append(slab, other)
    guest = molecule('CO')
    guest.translate([3.5, 2.5, 2.0])
    append(slab, guest)
    moves = {'exchange': 2.0, 'translate': 1.0, 'rotate': 1.0, 'conformer': 1.0}
    keys = {'steps': 400, 'n': 100, 'moves': moves, 'reservoir': reservoir(4.0, slab.get_volume(), 'CO', limit=4)}
    found = run(slab, Function(ideal), **keys)
    assert len(set(count(found))) > 3
    assert max(count(found)) == 5
    gone = False
    for frame in found.frames:
        atoms, fragments = frame.atoms, get_fragments(frame.atoms)
        np.testing.assert_array_equal(atoms.positions[:8], slab.positions[:8])
        assert str(atoms[fragments == 0].symbols) == str(other.symbols)
        assert all(sorted(atoms.symbols[one]) == ['C', 'O'] for one in molecules(atoms)[1:])
        np.testing.assert_array_equal(atoms.arrays['charges'], [*range(8), *[0.0] * (len(atoms) - 8)])
        near = other.get_all_distances() < 1.6
        distances = atoms[fragments == 0].get_all_distances()
        np.testing.assert_allclose(distances[near], other.get_all_distances()[near], atol=1e-8)
        gone = gone or 1 not in fragments
    assert gone
    assert found.acceptance['conformer'] == 1.0


def test_the_same_seed_and_a_calculator_that_keeps_things():
    slab = fcc111('Cu', (2, 2, 2), a=3.6, vacuum=6.0)
    moves = {'exchange': 1.0, 'translate': 1.0}
    # EMT keeps neighbour lists from one calculation to the next.
    keys = {'steps': 60, 'n': 20, 'moves': moves, 'reservoir': reservoir(3.0, 300.0, 'H', 5), 'min_distance': 0.7}
    first, again, other = (run(slab, EMT(), seed, **keys) for seed in (1, 1, 2))
    hashes = [[frame.content_hash() for frame in found.frames] for found in (first, again, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert first.end == 'finished'
    assert len(set(map(len, first.frames))) > 2
    known = [frame for frame in first.frames if 'energy' in frame.properties]
    assert known
    for frame in known:
        frame.atoms.calc = EMT()
        assert frame.properties['energy'] == pytest.approx(frame.atoms.get_potential_energy(), abs=1e-10)
        frame.atoms.calc = None


def test_smiles_in_a_start_without_molecules():
    pytest.importorskip('rdkit')
    start = Atoms('Ne', cell=[12, 12, 12], pbc=True)
    table = {'smiles': 'CCO', 'fugacity': 50.0, 'max_molecules': 4}
    moves = {'exchange': 2.0, 'translate': 1.0, 'rotate': 1.0}
    found = run(start, Function(ideal), steps=200, n=20, moves=moves, reservoir=table)
    filled = [frame for frame in found.frames if len(frame) > 1]
    assert filled
    shapes = [frame.atoms[1:10].get_all_distances() for frame in filled]
    for shape in shapes:
        np.testing.assert_allclose(shape, shapes[0], atol=1e-8)
    with pytest.raises(ValueError, match=r'"reservoir": "smiles" .* more than one molecule'):
        run(start, Function(ideal), reservoir=table | {'smiles': 'O.O'})


def test_the_uncertainty_of_frames_of_any_size():
    calculator = Function(ideal)
    calculator.with_uncertainty = False
    plain = calculator.calculate

    def calculate(atoms=None, properties=None, system_changes=all_changes):
        plain(atoms, properties, system_changes)
        if calculator.with_uncertainty:
            calculator.results['uncertainty'] = np.full(len(atoms), float(len(atoms)))

    calculator.calculate = calculate
    found = run(
        box(), calculator, steps=2000, reservoir=reservoir(4.0, 1000.0), watch=Watch(lo=3.0, hi=7.0, check_interval=1)
    )
    assert found.end == 'halted'
    assert len(found.frames[-1]) == 8
    assert min(map(len, found.frames)) == 4


def test_task(tmp_path):
    write_frames(tmp_path / 'structures.frames', [Structure(box(12.0), {}, {'system': 'gas'})])
    table = {'type': 'monte_carlo', 'temperature': 300.0, 'steps': 60, 'n': 15, 'moves': {'exchange': 1.0}}
    table['reservoir'] = reservoir(4.0, 1728.0)
    lennard_jones = {'type': 'lennard_jones', 'sigma': 3.4, 'epsilon': 0.0103, 'rc': 5.9}
    summary = run_task(
        {'runs': [{'start': 0, 'sampler': table, 'seed': 3}], 'calculator': lennard_jones, 'watch': None}, tmp_path
    )
    frames = read_frames(tmp_path / 'frames.frames')
    assert summary['runs'][0]['end'] == 'finished'
    assert set(summary['runs'][0]['acceptance']) == {'insert', 'delete'}
    assert len(frames) == 15
    assert len({len(frame) for frame in frames}) > 3
    assert frames[0].provenance['acceptance'] == summary['runs'][0]['acceptance']


@pytest.mark.parametrize(
    ('keys', 'told'),
    [
        ({'moves': {'exchange': 1.0}}, 'exchange = 1.0, but there is no "reservoir"'),
        ({'reservoir': {'name': 'Ar', 'fugacity': 1.0, 'max_molecules': 5}}, '"reservoir" is given, but "moves" has'),
        ({'moves': {'exchange': 1.0}, 'reservoir': {'name': 'Ar', 'max_molecules': 5}}, 'reservoir.fugacity'),
        ({'moves': {'exchange': 1.0}, 'reservoir': {'name': 'Ar', 'fugacity': 1.0}}, 'reservoir.max_molecules'),
        (
            {'moves': {'exchange': 1.0}, 'reservoir': {'name': 'Ar', 'fugacity': 0.0, 'max_molecules': 5}},
            'reservoir.fugacity',
        ),
        (
            {'moves': {'exchange': 1.0}, 'reservoir': {'fugacity': 1.0, 'max_molecules': 5}},
            'exactly one of "name" and "smiles"',
        ),
    ],
)
def test_config_errors(keys, told):
    with pytest.raises((ValidationError, ValueError), match=told):
        parse_plugin('sampler', {'type': 'monte_carlo', 'temperature': 300.0} | keys)


@pytest.mark.parametrize(
    ('atoms', 'keys', 'told'),
    [
        (Atoms('Ar'), {}, 'the cell has no volume'),
        (box(), {'reservoir': {'name': 'Xx', 'fugacity': 1.0, 'max_molecules': 3}}, '"reservoir": "name": \'Xx\''),
        (box().repeat((2, 2, 1)), {}, r'"max_molecules" is 3, but the start has 4'),
        (box(), {'reservoir': {'name': 'C60', 'fugacity': 1.0, 'max_molecules': 2000}}, '"max_molecules" asks for'),
        (Atoms('Ar', [[0, 0, -5]], cell=[9, 9, 9], pbc=[1, 1, 0]), {}, 'outside of the cell'),
        (box(), {'moves': {'exchange': 1.0, 'volume': 1.0}}, 'do not set the size of the cell'),
        (box(), {'moves': {'exchange': 1.0, 'rotate': 1.0}}, 'rotate = 1.0, but there is no molecule of several atoms'),
        (box(species='CH3CH2OH'), {
            'moves': {'exchange': 1.0, 'conformer': 1.0},
            'reservoir': {'name': 'CH3CH2OH', 'fugacity': 1.0, 'max_molecules': 3},
        }, 'those that are exchanged are rigid'),
    ],
)  # fmt: skip
def test_geometries_that_cannot_exchange(atoms, keys, told):
    if FRAGMENT not in atoms.arrays:
        set_fragments(atoms, 0)
    elif len(atoms) == 4:
        set_fragments(atoms, np.arange(4))
    given = {'reservoir': {'name': 'Ar', 'fugacity': 1.0, 'max_molecules': 3}} | keys
    with pytest.raises(ValueError, match=told):
        run(atoms, Function(ideal), **given)


def test_an_isolated_molecule_without_an_energy():
    energy = Function(lambda atoms: 0.0 if atoms.pbc.all() else float('inf'))
    found = run(box(), energy, steps=10, n=1, reservoir=reservoir(4.0, 1000.0))
    assert found.end == 'broken: the energy of the isolated molecule is not finite'
