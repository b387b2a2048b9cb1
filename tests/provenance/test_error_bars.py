"""Error bars of linear ACE, held against the errors themselves."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from aiida_traincraft import potential_error_bars
from aiida_traincraft.science.config.training.pace_linear import PaceLinearTraining

TRAINING = PaceLinearTraining(functions=60, cutoff=5.0).model_dump(mode='json')


@pytest.fixture(scope='module')
def fit(run_job, copper_dataset):
    node = run_job('traincraft.pace_linear', {'training': TRAINING, 'seed': 1}, dataset=copper_dataset)
    assert node.is_finished_ok, node.exit_message
    return node


def test_error_bars_are_as_large_as_errors(fit, copper_dataset):
    frames = list(copper_dataset.get_structures('test'))
    bars = potential_error_bars(fit.outputs.potential, [frame.atoms for frame in frames])
    calculator, ratios = fit.outputs.potential.get_calculator(), []
    for frame, bar in zip(frames, bars, strict=True):
        atoms = frame.atoms.copy()
        atoms.calc = calculator
        ratios.append(((atoms.get_forces() - frame.properties['forces']) / bar.forces).ravel())
        energy = (atoms.get_potential_energy() - frame.properties['energy']) / len(atoms)
        assert abs(energy) < 5 * bar.energy
    assert 0.5 < np.sqrt(np.mean(np.concatenate(ratios) ** 2)) < 2.0


def test_error_bars_grow_outside_the_data(fit):
    frames = [bulk('Cu', a=length, cubic=True) for length in (3.6, 3.3, 3.0)]
    for frame in frames:
        frame.rattle(0.05, seed=1)
    bars = potential_error_bars(fit.outputs.potential, frames)
    inside, near, far = (np.sqrt(np.mean(bar.forces**2)) for bar in bars)
    assert inside < 0.5 * near < 0.5 * far
    assert inside > fit.outputs.posterior.base.attributes.get('noise_forces')


def test_a_potential_without_a_posterior_is_named(linear_fit, copper_frames):
    assert 'posterior' not in linear_fit.outputs
    with pytest.raises(ValueError, match=r'has no posterior: only linear ACE with regression = "bayesian"'):
        potential_error_bars(linear_fit.outputs.potential, [copper_frames[0].atoms])
