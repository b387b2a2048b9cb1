"""Sampler ``rattle``."""

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.constraints import FixAtoms
from pydantic import ValidationError

from aiida_traincraft.science.atoms.distances import minimum_distance
from aiida_traincraft.science.sampling import run_sampling, sample
from aiida_traincraft.science.sampling.rattle import RattleConfig
from aiida_traincraft.science.structure import Structure


@pytest.fixture
def copper():
    atoms = bulk('Cu', a=3.6, cubic=True).repeat(2)
    atoms.set_array('tc_fragment', np.arange(32))
    atoms.set_constraint(FixAtoms([0]))
    return Structure(atoms, {'energy': 1.0}, {'system': 'bulk'})


def gradients(start, frames):
    return np.array([np.linalg.solve(start.atoms.cell.array, frame.atoms.cell.array) for frame in frames])


def test_frames_spread_as_asked(copper):
    frames = run_sampling(copper, None, None, RattleConfig(n=20, stdev=0.08), seed=1)
    assert len(frames) == 20
    shifts = np.array([frame.atoms.positions - copper.atoms.positions for frame in frames])
    assert shifts.std() == pytest.approx(0.08, rel=0.1)
    assert len({frame.content_hash() for frame in frames}) == 20
    assert all(np.array_equal(frame.atoms.cell.array, copper.atoms.cell.array) for frame in frames)


def test_frames_carry_arrays_and_provenance_only(copper):
    run = sample(copper, None, None, RattleConfig(n=2), seed=5)
    assert run.end == 'finished'
    assert run.max_uncertainty is None
    for number, frame in enumerate(run.frames):
        assert frame.properties == {}
        assert not frame.atoms.constraints
        assert frame.atoms.calc is None
        assert frame.atoms.arrays['tc_fragment'].tolist() == list(range(32))
        assert frame.provenance == {'system': 'bulk', 'sampler': 'rattle', 'seed': 5, 'frame': number}
    assert copper.atoms.constraints
    assert copper.provenance == {'system': 'bulk'}


def test_same_seed_same_frames(copper):
    config = RattleConfig(n=3, stdev=0.1, strain=0.05, volumetric_strain=(-0.1, 0.1))
    hashes = [[f.content_hash() for f in run_sampling(copper, None, None, config, seed)] for seed in (1, 1, 2)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_strain_is_symmetric_and_bounded(copper):
    strains = gradients(copper, run_sampling(copper, None, None, RattleConfig(n=50, stdev=0, strain=0.06))) - np.eye(3)
    assert np.allclose(strains, strains.transpose(0, 2, 1))
    assert 0.04 < np.abs(strains).max() <= 0.06 + 1e-12


@pytest.mark.parametrize(('key', 'power'), [('volumetric_strain', 3), ('linear_strain', 1)])
def test_range_of_an_isotropic_strain(copper, key, power):
    config = RattleConfig(n=50, stdev=0, **{key: (-0.05, 0.1)})
    frames = run_sampling(copper, None, None, config)
    factors = gradients(copper, frames)
    scale = factors[:, 0, 0]
    assert np.allclose(factors, scale[:, None, None] * np.eye(3))
    change = np.array([frame.atoms.get_volume() / copper.atoms.get_volume() for frame in frames]) ** (power / 3) - 1
    assert -0.05 <= change.min() < -0.03
    assert 0.08 < change.max() <= 0.1


def test_molecule_without_cell_is_strained_too():
    start = Structure(molecule('CH4'))
    frames = run_sampling(start, None, None, RattleConfig(n=5, stdev=0, linear_strain=(0.1, 0.1)))
    assert frames[0].atoms.get_distance(0, 1) == pytest.approx(1.1 * start.atoms.get_distance(0, 1))


def test_too_dense_frames_are_drawn_again(copper):
    config = RattleConfig(n=30, stdev=0.25, min_distance=0.6)
    frames = run_sampling(copper, None, None, config)
    assert min(minimum_distance(frame.atoms) for frame in frames) >= 0.6
    free = run_sampling(copper, None, None, config.model_copy(update={'min_distance': 0.0}))
    assert min(minimum_distance(frame.atoms) for frame in free) < 0.6


def test_hopeless_density_is_an_error(copper):
    with pytest.raises(ValueError, match=r'in all 100 tries.*the start: 0\.96.*lower "min_distance"'):
        run_sampling(copper, None, None, RattleConfig(min_distance=1.2))


def test_monte_carlo_rattle_avoids_short_distances(copper):
    pytest.importorskip('hiphive')
    config = RattleConfig(n=4, stdev=0.06, method='mc', closest=2.3)
    frames = run_sampling(copper, None, None, config, seed=1)
    shifts = np.array([frame.atoms.positions - copper.atoms.positions for frame in frames])
    # Ten moves of each atom, some of them refused.
    assert 0.5 < shifts.std() / (0.06 * 10**0.5) < 1.0
    shortest = [frame.atoms.get_all_distances(mic=True)[np.triu_indices(32, 1)].min() for frame in frames]
    assert min(shortest) > 2.1
    same = RattleConfig(n=4, stdev=float(shifts.std()))
    plain = run_sampling(copper, None, None, same, seed=1)
    assert min(frame.atoms.get_all_distances(mic=True)[np.triu_indices(32, 1)].min() for frame in plain) < 2.1
    again = run_sampling(copper, None, None, config, seed=1)
    assert [frame.content_hash() for frame in frames] == [frame.content_hash() for frame in again]
    assert len({frame.content_hash() for frame in frames}) == 4


def test_monte_carlo_rattle_without_room(copper):
    pytest.importorskip('hiphive')
    with pytest.raises(ValueError, match=r'found no place for an atom of Cu32.*lower "closest" \(3\.5 Å\)'):
        run_sampling(copper, None, None, RattleConfig(stdev=0.001, method='mc', closest=3.5))


@pytest.mark.parametrize(
    'keys',
    [
        {'method': 'mc'},
        {'closest': 2.0},
        {'volumetric_strain': (0.1, -0.1)},
        {'linear_strain': (0.1, -0.1)},
        {'linear_strain': (0.1, 0.2), 'volumetric_strain': (0.1, 0.2)},
        {'stdev': -1},
        {'n': 0},
        {'strain': 0.6},
        {'temperature': 300},
    ],
)
def test_config_limits(keys):
    with pytest.raises(ValidationError):
        RattleConfig(**keys)
