"""Terminations and equivalent sides of the builder ``slab``."""

import numpy as np
import pytest
from pydantic import ValidationError

from aiida_traincraft.science.geometry.builders.slab import SlabConfig, build_slab
from aiida_traincraft.science.geometry.terminations import has_equivalent_sides


def sites(**positions):
    return tuple({'element': element, 'position': position} for element, position in positions.items())


PEROVSKITE = {
    'spacegroup': 221,
    'a': 3.905,
    'basis': sites(Sr=(0.0, 0.0, 0.0), Ti=(0.5, 0.5, 0.5), O=(0.5, 0.5, 0.0)),
}
RUTILE = {'spacegroup': 136, 'a': 4.594, 'c': 2.959, 'basis': sites(Ti=(0.0, 0.0, 0.0), O=(0.305, 0.305, 0.0))}


def build(**keys):
    config = SlabConfig(**{'size': (1, 1, 3), 'vacuum': 6.0, 'terminations': 'all'} | keys)
    made = build_slab(config, np.random.default_rng(0))
    return [structure.atoms for structure in made]


def ends(atoms):
    """Formulas of the lowest and the highest plane."""
    heights = atoms.positions[:, 2]
    planes = atoms[heights < heights.min() + 0.1], atoms[heights > heights.max() - 0.1]
    return tuple(plane.get_chemical_formula() for plane in planes)


def test_stoichiometric_perovskite_has_one_asymmetric_slab():
    (atoms,) = build(crystal=PEROVSKITE, miller=(1, 0, 0))
    assert set(ends(atoms)) == {'OSr', 'O2Ti'}
    assert atoms.get_chemical_formula() == 'O9Sr3Ti3'
    assert not has_equivalent_sides(atoms)


def test_symmetric_perovskite_slabs_have_both_terminations():
    slabs = build(crystal=PEROVSKITE, miller=(1, 0, 0), symmetric=True)
    assert {ends(atoms) for atoms in slabs} == {('OSr', 'OSr'), ('O2Ti', 'O2Ti')}
    assert all(has_equivalent_sides(atoms) for atoms in slabs)


def test_rutile_110_has_three_terminations_of_which_one_is_stoichiometric_and_symmetric():
    slabs = build(crystal=RUTILE, miller=(1, 1, 0), symmetric=True)
    assert {ends(atoms) for atoms in slabs} >= {('O', 'O'), ('O2Ti2', 'O2Ti2')}
    stoichiometric = [atoms for atoms in slabs if (atoms.symbols == 'O').sum() == 2 * (atoms.symbols == 'Ti').sum()]
    assert len(stoichiometric) == 1
    assert ends(stoichiometric[0]) == ('O', 'O')


def test_silicon_111_is_cut_between_or_through_double_layers():
    slabs = build(name='Si', miller=(1, 1, 1), a=5.43)
    assert len(slabs) == 2
    thickness = sorted(np.ptp(atoms.positions[:, 2]) for atoms in slabs)
    assert thickness[1] - thickness[0] == pytest.approx(5.43 * np.sqrt(3) / 4 * (1 - 1 / 3), abs=1e-3)


@pytest.mark.parametrize('miller', [(1, 0, 0), (1, 1, 1), (2, 1, 1), (-3, 2, 1)])
@pytest.mark.parametrize('symmetric', [False, True])
def test_metal_has_one_termination_and_bulk_distances(miller, symmetric):
    (atoms,) = build(name='Cu', a=3.6, miller=miller, symmetric=symmetric)
    distances = atoms.repeat((2, 2, 1)).get_all_distances(mic=True)
    assert distances[distances > 0.1].min() == pytest.approx(3.6 / np.sqrt(2))


@pytest.mark.parametrize('crystal', [PEROVSKITE, RUTILE])
@pytest.mark.parametrize('miller', [(1, 0, 0), (1, 1, 0), (1, 1, 1)])
@pytest.mark.parametrize('symmetric', [False, True])
def test_vacuum_is_exact_on_each_side(crystal, miller, symmetric):
    for atoms in build(crystal=crystal, miller=miller, symmetric=symmetric, vacuum=7.5):
        heights = atoms.positions[:, 2]
        assert heights.min() == pytest.approx(7.5)
        assert atoms.cell[2, 2] - heights.max() == pytest.approx(7.5)
        assert atoms.cell[2, :2] == pytest.approx([0, 0])


def test_first_of_the_symmetric_is_one_structure():
    keys = {'name': 'Cu', 'a': 3.6, 'miller': (1, 0, 0), 'symmetric': True}
    assert has_equivalent_sides(build_slab(SlabConfig(**keys), np.random.default_rng(0)).atoms)


def test_indices_with_a_common_factor_are_the_same_plane():
    one, two = (build(name='Cu', a=3.6, miller=miller)[0] for miller in ((1, 1, 1), (2, 2, 2)))
    assert np.allclose(one.positions, two.positions)


def test_polar_crystal_has_no_symmetric_slab():
    with pytest.raises(ValueError, match='"symmetric": no slab of \\[0, 0, 1\\] has equivalent sides'):
        build(name='ZnO', crystalstructure='wurtzite', a=3.25, c=5.2, miller=(0, 0, 1), symmetric=True)


def test_too_large():
    with pytest.raises(ValueError, match='"size" asks for 8e\\+06 atoms'):
        build(name='Cu', miller=(1, 0, 0), size=(1000, 1000, 2))
    with pytest.raises(ValueError, match='"size" asks for'):
        build_slab(SlabConfig(name='Cu', facet='fcc111', size=(1000, 1000, 2)), np.random.default_rng(0))


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'name': 'Cu', 'facet': 'fcc111', 'terminations': 'all'}, 'go with "miller"'),
        ({'name': 'Cu', 'facet': 'fcc111', 'symmetric': True}, 'go with "miller"'),
        ({'name': 'Cu', 'crystal': RUTILE, 'miller': (1, 0, 0)}, 'exactly one of "name" and "crystal"'),
        ({'crystal': RUTILE, 'miller': (1, 0, 0), 'a': 3.0}, '"a" belongs into "crystal"'),
        ({'crystal': RUTILE, 'facet': 'fcc111'}, '"crystal" goes with "miller"'),
        ({'name': 'Cu', 'miller': (100, 0, 0)}, 'less than or equal to 20'),
    ],
)
def test_config_combinations(keys, message):
    with pytest.raises(ValidationError, match=message):
        SlabConfig(**keys)
