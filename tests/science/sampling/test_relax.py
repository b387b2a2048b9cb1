"""Sampler ``relax``."""

import time

import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.emt import EMT
from pydantic import ValidationError

from aiida_traincraft.science.sampling import Watch, sample
from aiida_traincraft.science.sampling.relax import RelaxConfig
from aiida_traincraft.science.structure import Structure


@pytest.fixture
def rattled(crystal):
    crystal.atoms.rattle(0.2, seed=1)
    return crystal


@pytest.mark.parametrize('optimizer', ['bfgs', 'fire'])
def test_frames_go_down_to_the_minimum(rattled, optimizer):
    before = rattled.atoms.positions.copy()
    run = sample(rattled, EMT(), None, RelaxConfig(optimizer=optimizer, interval=3, fmax=0.02), seed=1)
    assert run.end == 'finished'
    steps = [frame.provenance['step'] for frame in run.frames]
    assert steps[:-1] == [3 * k for k in range(len(steps) - 1)]
    assert steps[-1] == run.steps
    energies = [float(frame.properties['energy']) for frame in run.frames]
    assert energies[0] - energies[-1] > 0.1
    assert run.frames[-1].provenance['fmax'] <= 0.02
    assert np.abs(run.frames[-1].properties['forces']).max() < 0.02
    assert np.array_equal(before, rattled.atoms.positions)
    assert np.array_equal(run.frames[0].atoms.positions, before)
    assert all(np.array_equal(frame.atoms.cell, rattled.atoms.cell) for frame in run.frames)
    assert run.frames[-1].provenance['system'] == 'bulk'
    assert 'tc_fragment' in run.frames[-1].atoms.arrays


def test_cell_relaxes_to_zero_pressure(rattled):
    run = sample(rattled, EMT(), None, RelaxConfig(cell=True, fmax=0.005))
    last = run.frames[-1].atoms.copy()
    last.calc = EMT()
    assert np.abs(last.get_stress()).max() < 1e-3
    assert (last.get_volume() / 4) ** (1 / 3) == pytest.approx((3.59**3 / 4) ** (1 / 3), rel=0.01)


def test_steps_that_do_not_suffice_are_no_fault(rattled):
    run = sample(rattled, EMT(), None, RelaxConfig(steps=2, fmax=1e-6, interval=10))
    assert (run.end, run.steps) == ('finished', 2)
    assert [frame.provenance['step'] for frame in run.frames] == [0, 2]


def test_relaxed_start_is_one_frame(crystal):
    run = sample(crystal, EMT(), None, RelaxConfig())
    assert [frame.provenance['step'] for frame in run.frames] == [0]


def test_watching_keeps_what_is_uncertain_and_halts(rattled, crystal, doubtful):
    config = RelaxConfig(fmax=1e-3)
    calculator = doubtful(rattled.atoms)
    run = sample(rattled, calculator, None, config, watch=Watch(lo=0.1, check_interval=1))
    assert run.end == 'finished'
    assert run.frames
    assert all(frame.properties['uncertainty'].max() > 0.1 for frame in run.frames)
    assert run.max_uncertainty > 0.1
    assert not calculator.with_uncertainty
    halted = sample(rattled, doubtful(rattled.atoms), None, config, watch=Watch(lo=0.05, hi=0.1, check_interval=1))
    assert halted.end == 'halted'
    assert halted.frames[-1].properties['uncertainty'].max() > 0.1
    assert halted.steps < run.steps


def test_deadline(rattled):
    run = sample(rattled, EMT(), None, RelaxConfig(), watch=Watch(deadline=time.monotonic() - 1))
    assert (run.end, run.steps) == ('walltime', 0)


def test_calculator_that_fails_ends_the_run(rattled, breaking):
    run = sample(rattled, breaking(4), None, RelaxConfig(interval=1, fmax=1e-4))
    assert run.end == 'broken: RuntimeError: no convergence'
    assert run.frames


def test_atoms_too_close(rattled):
    rattled.atoms.positions[1] = rattled.atoms.positions[0] + 0.2
    assert sample(rattled, EMT(), None, RelaxConfig()).end.startswith('broken: two atoms come as close as')


def test_errors(crystal):
    with pytest.raises(ValueError, match='sampler "relax" needs a calculator'):
        sample(crystal, None, None, RelaxConfig())
    with pytest.raises(ValueError, match='gives no uncertainty to watch'):
        sample(crystal, EMT(), None, RelaxConfig(), watch=Watch(check_interval=1))
    with pytest.raises(ValueError, match='"cell" = true needs a cell that is periodic in all directions'):
        sample(Structure(molecule('CO')), EMT(), None, RelaxConfig(cell=True))
    for keys in ({'fmax': 0.0}, {'steps': 0}, {'optimizer': 'lbfgs'}, {'interval': 0}):
        with pytest.raises(ValidationError):
            RelaxConfig(**keys)
