"""Transforms: supercell by numbers, strain, perturb; and what all transforms leave alone."""

import numpy as np
import pytest
from ase.build import bulk, molecule
from pydantic import ValidationError

from aiida_traincraft.science.geometry.transforms.constraints import ConstraintsConfig, constraints
from aiida_traincraft.science.geometry.transforms.perturb import PerturbConfig, perturb
from aiida_traincraft.science.geometry.transforms.rotate import RotateConfig, rotate
from aiida_traincraft.science.geometry.transforms.set_pbc import SetPbcConfig, set_pbc
from aiida_traincraft.science.geometry.transforms.sort import SortConfig, sort
from aiida_traincraft.science.geometry.transforms.strain import StrainConfig, deform, random_strain, strain
from aiida_traincraft.science.geometry.transforms.substitute import SubstituteConfig, substitute
from aiida_traincraft.science.geometry.transforms.supercell import SupercellConfig, supercell
from aiida_traincraft.science.geometry.transforms.vacancy import VacancyConfig, vacancy
from aiida_traincraft.science.geometry.transforms.vacuum import VacuumConfig, vacuum
from aiida_traincraft.science.structure import Structure


@pytest.fixture
def crystal():
    atoms = bulk('NaCl', 'rocksalt', a=5.6, cubic=True)
    atoms.set_array('tc_fragment', np.arange(8))
    return Structure(atoms, {'energy': -1.0}, {'system': 'salt'})


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_repeat(crystal, rng):
    atoms = supercell(crystal, SupercellConfig(repeat=(1, 2, 3)), rng).atoms
    assert len(atoms) == 48
    assert atoms.cell.lengths() == pytest.approx([5.6, 11.2, 16.8])
    # Every image of a molecule is one of its own.
    assert atoms.arrays['tc_fragment'].tolist() == list(range(48))


def test_matrix(crystal, rng):
    atoms = supercell(crystal, SupercellConfig(matrix=((1, 1, 0), (-1, 1, 0), (0, 0, 1))), rng).atoms
    assert len(atoms) == 16
    assert atoms.get_volume() == pytest.approx(2 * crystal.atoms.get_volume())
    distances = atoms.get_all_distances(mic=True)
    assert distances[~np.eye(16, dtype=bool)].min() == pytest.approx(2.8)
    assert atoms.arrays['tc_fragment'].tolist() == list(range(16))


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({}, 'exactly one'),
        ({'repeat': (1, 1, 1), 'matrix': ((1, 0, 0), (0, 1, 0), (0, 0, 1))}, 'exactly one'),
        ({'matrix': ((0, 1, 0), (1, 0, 0), (0, 0, 1))}, 'determinant -1'),
        ({'matrix': ((1, 1, 0), (1, 1, 0), (0, 0, 1))}, 'determinant 0'),
        ({'repeat': (0, 1, 1)}, 'greater than or equal to 1'),
    ],
)
def test_supercell_config(keys, message):
    with pytest.raises(ValidationError, match=message):
        SupercellConfig(**keys)


def test_hydrostatic_strain(crystal, rng):
    atoms = strain(crystal, StrainConfig(hydrostatic=-0.1), rng).atoms
    assert atoms.get_volume() == pytest.approx(0.9**3 * crystal.atoms.get_volume())
    assert atoms.get_scaled_positions() == pytest.approx(crystal.atoms.get_scaled_positions())


def test_voigt_strain_is_symmetric_with_engineering_shears(crystal, rng):
    values = (0.01, -0.02, 0.03, 0.04, -0.05, 0.06)
    strained = strain(crystal, StrainConfig(voigt=values), rng).atoms
    gradient = np.linalg.solve(crystal.atoms.cell.array, strained.cell.array)
    assert gradient == pytest.approx(gradient.T)
    assert np.diag(gradient) - 1 == pytest.approx(values[:3])
    assert [gradient[1, 2], gradient[0, 2], gradient[0, 1]] == pytest.approx([0.02, -0.025, 0.03])
    assert strained.positions == pytest.approx(crystal.atoms.positions @ gradient)


@pytest.mark.parametrize(
    'keys',
    [
        {},
        {'hydrostatic': 0.1, 'voigt': [0] * 6},
        {'random': 0.1, 'voigt': [0] * 6},
        {'random': 0.5},
        {'voigt': [0.1] * 5},
        {'hydrostatic': 0.7},
    ],
)
def test_strain_config(keys):
    with pytest.raises(ValidationError):
        StrainConfig(**keys)


def test_random_strain_transform_is_symmetric_within_its_limit_and_follows_the_seed(crystal):
    one, again, other = (
        strain(crystal, StrainConfig(random=0.05), np.random.default_rng(seed)).atoms for seed in (1, 1, 2)
    )
    assert np.array_equal(one.cell.array, again.cell.array)
    assert not np.allclose(one.cell.array, other.cell.array)
    gradient = np.linalg.solve(crystal.atoms.cell.array, one.cell.array)
    assert gradient == pytest.approx(gradient.T)
    assert 0.005 < np.abs(gradient - np.eye(3)).max() <= 0.05
    assert one.get_scaled_positions() == pytest.approx(crystal.atoms.get_scaled_positions())


def test_deform_without_cell():
    atoms = molecule('H2O')
    stretched = deform(atoms, 1.5 * np.eye(3))
    assert stretched.get_distance(0, 1) == pytest.approx(1.5 * atoms.get_distance(0, 1))
    assert not stretched.cell.any()


def test_random_strain_is_symmetric_and_bounded(rng):
    strains = np.array([random_strain(rng, 0.04) for _ in range(500)])
    assert np.array_equal(strains, strains.transpose(0, 2, 1))
    assert np.abs(strains).max() <= 0.04
    components = strains[:, *np.triu_indices(3)]
    # A uniform distribution over [-w, w] has the standard deviation w / sqrt(3).
    assert components.std(axis=0) == pytest.approx([0.04 / np.sqrt(3)] * 6, rel=0.1)
    assert np.abs(np.corrcoef(components.T) - np.eye(6)).max() < 0.2


def test_perturb_has_the_asked_spread(crystal, rng):
    large = supercell(crystal, SupercellConfig(repeat=(5, 5, 5)), rng)
    moved = perturb(large, PerturbConfig(stdev=0.1), rng)
    shifts = moved.atoms.positions - large.atoms.positions
    assert shifts.std() == pytest.approx(0.1, rel=0.05)
    assert np.array_equal(moved.atoms.cell.array, large.atoms.cell.array)


@pytest.mark.parametrize(
    ('function', 'config'),
    [
        (supercell, SupercellConfig(repeat=(2, 1, 1))),
        (supercell, SupercellConfig(target_atoms=20, shape='cubic')),
        (strain, StrainConfig(hydrostatic=0.1)),
        (strain, StrainConfig(random=0.1)),
        (perturb, PerturbConfig(stdev=0.1)),
        (vacuum, VacuumConfig(thickness=5.0)),
        (rotate, RotateConfig(angle=20.0)),
        (set_pbc, SetPbcConfig(pbc=False)),
        (constraints, ConstraintsConfig(below_z=1.0)),
        (substitute, SubstituteConfig(old='Na', new='K', count=2)),
        (vacancy, VacancyConfig(count=1)),
        (sort, SortConfig(by='position')),
    ],
)
def test_input_is_left_alone_and_properties_are_dropped(crystal, rng, function, config):
    before = crystal.content_hash()
    result = function(crystal, config, rng)
    assert crystal.content_hash() == before
    assert result.properties == {}
    assert result.provenance == {'system': 'salt'}
