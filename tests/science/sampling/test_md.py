"""Sampler ``md``: dynamics, guards, and watching the uncertainty."""

import time

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms
from pydantic import ValidationError

from aiida_traincraft.science.sampling import Watch, run_sampling, sample
from aiida_traincraft.science.sampling.md import MdConfig
from aiida_traincraft.science.structure import Structure


class WatchedEmt(EMT):
    """EMT whose uncertainty is the displacement from the start (Å); counts its evaluations."""

    def __init__(self, reference):
        super().__init__()
        self.reference = reference.positions.copy()
        self.with_uncertainty = False
        self.calls = []

    def calculate(self, atoms=None, properties=('energy',), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results.pop('uncertainty', None)
        self.calls.append(self.with_uncertainty)
        if self.with_uncertainty:
            self.results['uncertainty'] = np.linalg.norm(atoms.positions - self.reference, axis=1)


class FailingEmt(EMT):
    """EMT that stops working, or gives nonsense, after some evaluations."""

    def __init__(self, good, nonsense=None):
        super().__init__()
        self.good, self.nonsense, self.calls = good, nonsense, 0

    def calculate(self, *args):
        super().calculate(*args)
        self.calls += 1
        if self.calls > self.good:
            if self.nonsense is None:
                raise RuntimeError('no convergence')
            self.results['forces'] = self.results['forces'] * self.nonsense


@pytest.fixture
def copper():
    atoms = bulk('Cu', a=3.6, cubic=True).repeat(2)
    atoms.set_array('tc_fragment', np.arange(32))
    atoms.set_constraint(FixAtoms([0]))
    return Structure(atoms, {'energy': 1.0}, {'system': 'bulk'})


def test_frames_are_evenly_spaced_after_the_equilibration(copper):
    config = MdConfig(temperature=300, steps=50, n=5, equilibration=7)
    run = sample(copper, EMT(), None, config, seed=3)
    assert (run.end, run.steps, run.max_uncertainty) == ('finished', 57, None)
    assert [frame.provenance['step'] for frame in run.frames] == [17, 27, 37, 47, 57]
    assert len({frame.content_hash() for frame in run.frames}) == 5


def test_number_of_frames_that_does_not_divide_the_steps(copper):
    assert len(run_sampling(copper, EMT(), None, MdConfig(temperature=300, steps=10, n=7))) == 7


def test_frames_are_bare(copper):
    before = copper.atoms.positions.copy()
    frame = run_sampling(copper, EMT(), None, MdConfig(temperature=300, steps=5, n=1), seed=3)[0]
    assert frame.atoms.calc is None
    assert not frame.atoms.constraints
    assert 'momenta' not in frame.atoms.arrays
    assert frame.atoms.arrays['tc_fragment'].tolist() == list(range(32))
    assert sorted(frame.properties) == ['energy', 'forces']
    check = frame.atoms.copy()
    check.calc = EMT()
    assert frame.properties['energy'] == pytest.approx(check.get_potential_energy())
    assert frame.provenance.pop('temperature') > 0
    assert frame.provenance == {'system': 'bulk', 'sampler': 'md', 'seed': 3, 'step': 5}
    assert np.array_equal(copper.atoms.positions, before)
    assert copper.atoms.constraints


def test_same_seed_same_frames(copper):
    config = MdConfig(temperature=500, steps=20, n=2, strain=0.03)
    hashes = [[f.content_hash() for f in run_sampling(copper, EMT(), None, config, seed)] for seed in (1, 1, 2)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_mean_temperature(copper):
    config = MdConfig(temperature=600, steps=1500, n=300, equilibration=300, timestep=4, friction=20)
    frames = run_sampling(copper, EMT(), None, config)
    temperatures = [frame.provenance['temperature'] for frame in frames]
    # 96 degrees of freedom: single values scatter by sqrt(2 / 96) = 14 %, correlated over about 20 frames.
    assert np.mean(temperatures) == pytest.approx(600, rel=0.07)


def test_ramp(copper):
    config = MdConfig(temperature_start=100, temperature_end=1100, steps=200, equilibration=50)
    assert [config.target(step) for step in (0, 50, 150, 250)] == pytest.approx([100, 100, 600, 1100])
    config = MdConfig(temperature_start=100, temperature_end=1100, steps=1000, n=100, friction=50)
    temperatures = [frame.provenance['temperature'] for frame in run_sampling(copper, EMT(), None, config)]
    assert np.mean(temperatures[:20]) < 400 < 800 < np.mean(temperatures[80:])


def test_initial_strain(copper):
    frame = run_sampling(copper, EMT(), None, MdConfig(temperature=300, steps=1, n=1, strain=0.05))[0]
    strain = np.linalg.solve(copper.atoms.cell.array, frame.atoms.cell.array) - np.eye(3)
    assert np.allclose(strain, strain.T)
    assert 0 < np.abs(strain).max() <= 0.05


def test_calculator_that_fails_ends_the_run(copper):
    run = sample(copper, FailingEmt(good=6), None, MdConfig(temperature=300, steps=20, n=20))
    assert run.end == 'broken: RuntimeError: no convergence'
    assert len(run.frames) == 5
    assert sample(copper, FailingEmt(good=0), None, MdConfig(temperature=300)).end.startswith('broken: RuntimeError')


@pytest.mark.parametrize(
    ('nonsense', 'reason'), [(np.nan, 'forces are not finite at step 5'), (1e6, 'the temperature is')]
)
def test_nonsense_forces_break_the_run(copper, nonsense, reason):
    run = sample(copper, FailingEmt(good=5, nonsense=nonsense), None, MdConfig(temperature=300, steps=20, n=20))
    assert run.end.startswith(f'broken: {reason}')
    assert [frame.provenance['step'] for frame in run.frames] == [1, 2, 3, 4]


def test_atoms_too_close_break_the_run(copper):
    copper.atoms.positions[1] = copper.atoms.positions[0] + [0.5, 0, 0]
    run = sample(copper, EMT(), None, MdConfig(temperature=300, steps=20))
    assert run.end == 'broken: two atoms come as close as 0.19 of their covalent radii at step 0'
    assert run.frames == []


def test_collapsing_potential_is_no_exception(copper):
    with np.errstate(all='ignore'):
        run = sample(copper, LennardJones(sigma=3.5, epsilon=5.0), None, MdConfig(temperature=300, steps=200))
    assert run.end.startswith('broken: ')


def test_watch_calls_the_calculator_once_per_step(copper):
    calculator = WatchedEmt(copper.atoms)
    watch = Watch(lo=10, hi=20, check_interval=5, record_interval=8)
    run = sample(copper, calculator, None, MdConfig(temperature=300, steps=20), watch=watch)
    assert len(calculator.calls) == 21
    assert [step for step, uncertain in enumerate(calculator.calls) if uncertain] == [0, 5, 8, 10, 15, 16, 20]
    assert [frame.provenance['step'] for frame in run.frames] == [8, 16]
    assert all(frame.properties['uncertainty'].shape == (32,) for frame in run.frames)
    assert run.end == 'finished'
    assert 0 < run.max_uncertainty < 1
    assert calculator.with_uncertainty is False


def test_uncertainty_is_that_of_the_frame(copper):
    watch = Watch(lo=0.0, hi=20, check_interval=3)
    run = sample(copper, WatchedEmt(copper.atoms), None, MdConfig(temperature=300, steps=9, n=1), watch=watch)
    assert [frame.provenance['step'] for frame in run.frames] == [3, 6, 9]
    for frame in run.frames:
        moved = np.linalg.norm(frame.atoms.positions - copper.atoms.positions, axis=1)
        assert frame.properties['uncertainty'] == pytest.approx(moved)
    assert run.max_uncertainty == max(frame.properties['uncertainty'].max() for frame in run.frames)


class CommitteeEmt(WatchedEmt):
    """Tells the spread of the energy, too."""

    def calculate(self, *args):
        super().calculate(*args)
        if self.with_uncertainty:
            self.results['energy_spread'] = self.results['uncertainty'].mean()


def test_the_spread_of_the_energy_goes_along(copper):
    watch = Watch(lo=0.0, hi=20, check_interval=3)
    run = sample(copper, CommitteeEmt(copper.atoms), None, MdConfig(temperature=300, steps=6, n=1), watch=watch)
    assert [type(frame.properties['energy_spread']) for frame in run.frames] == [float, float]
    for frame in run.frames:
        assert frame.properties['energy_spread'] == frame.properties['uncertainty'].mean()


def test_candidates_and_halt(copper):
    watch = Watch(lo=0.15, hi=0.4, check_interval=2)
    run = sample(copper, WatchedEmt(copper.atoms), None, MdConfig(temperature=900, steps=400), watch=watch)
    worst = [frame.properties['uncertainty'].max() for frame in run.frames]
    assert run.end == 'halted'
    assert run.steps < 400
    assert all(0.15 < value <= 0.4 for value in worst[:-1])
    assert worst[-1] > 0.4
    assert run.frames[-1].provenance['step'] == run.steps
    assert run.max_uncertainty == worst[-1]


def test_halt_during_equilibration(copper):
    watch = Watch(lo=0.05, hi=0.1, check_interval=1)
    config = MdConfig(temperature=900, steps=100, equilibration=1000)
    run = sample(copper, WatchedEmt(copper.atoms), None, config, watch=watch)
    assert run.end == 'halted'
    assert run.steps < 1000


def test_deadline(copper):
    watch = Watch(deadline=time.monotonic() + 1.0)
    run = sample(copper, EMT(), None, MdConfig(temperature=300, steps=10**5, n=10**4), watch=watch)
    assert run.end == 'walltime'
    assert run.frames
    watch = Watch(lo=10, hi=20, check_interval=1, record_interval=10, deadline=time.monotonic() + 0.5)
    run = sample(copper, WatchedEmt(copper.atoms), None, MdConfig(temperature=300, steps=10**6), watch=watch)
    assert run.end == 'walltime'
    assert len(run.frames) == run.steps // 10


class UnsureEmt(WatchedEmt):
    """Claims an uncertainty of the wrong kind."""

    def calculate(self, *args):
        super().calculate(*args)
        self.results['uncertainty'] = np.full(32, np.nan)


def test_unusable_uncertainty(copper):
    watch = Watch(lo=1, hi=2, check_interval=1)
    run = sample(copper, UnsureEmt(copper.atoms), None, MdConfig(temperature=300), watch=watch)
    assert run.end == 'broken: UnsureEmt gave no usable uncertainty'


def test_infinite_uncertainty_halts(copper):
    calculator = WatchedEmt(copper.atoms)
    calculator.reference[0] = np.inf
    run = sample(copper, calculator, None, MdConfig(temperature=300), watch=Watch(lo=1, hi=2, check_interval=1))
    assert run.end == 'halted'
    assert run.max_uncertainty == np.inf


def test_impossible_requests(copper):
    with pytest.raises(ValueError, match='needs a calculator'):
        sample(copper, None, None, MdConfig(temperature=300))
    with pytest.raises(ValueError, match='EMT gives no uncertainty to watch'):
        sample(copper, EMT(), None, MdConfig(temperature=300), watch=Watch(check_interval=1))
    with pytest.raises(ValueError, match='Calculator gives no uncertainty'):
        sample(copper, Calculator(), None, MdConfig(temperature=300), watch=Watch(check_interval=1))


@pytest.mark.parametrize('cell', ['hydrostatic', 'full'])
def test_mean_pressure(cell):
    start = bulk('Cu', a=3.6, cubic=True).repeat((2, 1, 1))
    start.set_array('tc_fragment', np.arange(8))
    config = MdConfig(
        ensemble='npt', pressure=10.0, cell=cell, barostat=150, temperature=300, steps=600, n=200, equilibration=100,
        timestep=4, friction=20,
    )  # fmt: skip
    run = sample(Structure(start), EMT(), None, config, seed=1)
    assert run.end == 'finished'
    pressures = []
    for frame in run.frames:
        atoms = frame.atoms.copy()
        atoms.calc = EMT()
        ideal = len(atoms) * units.kB * 300 / atoms.get_volume()
        pressures.append((ideal - np.trace(atoms.get_stress(voigt=False)) / 3) / units.GPa)
    blocks = np.array(pressures).reshape(10, 20).mean(axis=1)
    error = blocks.std(ddof=1) / np.sqrt(10)
    assert error < 1.0
    assert np.mean(pressures) == pytest.approx(10.0, abs=3 * error)
    last = run.frames[-1].atoms
    assert 0.85 < last.get_volume() / start.get_volume() < 0.99
    assert np.allclose(last.cell.angles(), 90.0, atol=1e-6) == (cell == 'hydrostatic')
    assert last.arrays['tc_fragment'].tolist() == list(range(8))


def test_a_cell_that_explodes_breaks_the_run(copper):
    config = MdConfig(ensemble='npt', pressure=-20.0, barostat=100, temperature=300, steps=500, max_volume_change=1.3)
    run = sample(copper, EMT(), None, config)
    assert run.end.startswith('broken: the volume is 1.3'), run.end


def test_constant_pressure_needs_a_cell_and_a_stress(copper):
    config = MdConfig(ensemble='npt', temperature=300)
    with pytest.raises(ValueError, match='"npt" needs a cell that is periodic in all directions'):
        sample(Structure(Atoms('Cu2', [[0, 0, 0], [0, 0, 2.3]])), EMT(), None, config)
    with pytest.raises(ValueError, match='"npt" needs the stress, and Calculator gives none'):
        sample(copper, Calculator(), None, config)


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'temperature': 300, 'pressure': 1.0}, '"pressure" is for ensemble = "npt" only'),
        ({}, 'give either "temperature"'),
        ({'temperature': 300, 'temperature_end': 500}, 'give either "temperature"'),
        ({'temperature_start': 300}, 'go together'),
        ({'temperature': 300, 'steps': 5, 'n': 6}, r'"n" \(6 frames\) is larger than "steps" \(5\)'),
        ({'temperature': -1}, 'greater than 0'),
    ],
)
def test_config_combinations(keys, message):
    with pytest.raises(ValidationError, match=message):
        MdConfig(**keys)
