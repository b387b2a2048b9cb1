"""Sampler ``contour``."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from pydantic import ValidationError

from aiida_traincraft.science.sampling import Watch, sample
from aiida_traincraft.science.sampling.contour import ContourConfig
from aiida_traincraft.science.structure import Structure


def test_energy_stays_where_it_is_wanted(crystal):
    run = sample(crystal, EMT(), None, ContourConfig(energy=0.1, steps=200, n=20, max_step=0.2), seed=1)
    assert run.end == 'finished'
    assert [frame.provenance['step'] for frame in run.frames] == list(range(10, 201, 10))
    ground = crystal.atoms.copy()
    ground.calc = EMT()
    above = np.array([float(frame.properties['energy']) for frame in run.frames]) - ground.get_potential_energy()
    assert above[5:] / 4 == pytest.approx(0.1, abs=0.02)
    assert len({frame.content_hash() for frame in run.frames}) == 20
    assert 'momenta' not in run.frames[0].atoms.arrays


def test_contour_of_the_displaced_start_and_seeds(crystal):
    config = ContourConfig(steps=20, n=3)
    runs = [sample(crystal, EMT(), None, config, seed) for seed in (1, 1, 2)]
    hashes = [[frame.content_hash() for frame in run.frames] for run in runs]
    assert hashes[0] == hashes[1] != hashes[2]
    assert len(hashes[0]) == 3


def test_watching(crystal, doubtful):
    run = sample(crystal, doubtful(crystal.atoms), None, ContourConfig(), 1, Watch(lo=0.2, hi=0.9, check_interval=2))
    assert run.end in ('finished', 'halted')
    assert all(frame.properties['uncertainty'].max() > 0.2 for frame in run.frames)


def test_broken(crystal, breaking):
    run = sample(crystal, breaking(10), None, ContourConfig(steps=20, n=20))
    assert run.end == 'broken: RuntimeError: no convergence'
    assert run.frames


def test_errors(crystal):
    with pytest.raises(ValueError, match='needs two atoms or more'):
        sample(Structure(Atoms('Cu')), EMT(), None, ContourConfig())
    poor = EMT()
    poor.implemented_properties = ['energy', 'forces']
    with pytest.raises(ValueError, match='needs the "free_energy" of ASE, which EMT lacks'):
        sample(crystal, poor, None, ContourConfig())
    with pytest.raises(ValueError, match='"contour" needs a calculator'):
        sample(crystal, None, None, ContourConfig())
    for keys in ({'n': 500}, {'stdev': 0.0}, {'energy': -1.0}, {'angle_limit': 120.0}):
        with pytest.raises(ValidationError):
            ContourConfig(**keys)
