"""Transform ``slab``: the crystal decides, not the cell that describes it."""

import re

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.neighborlist import neighbor_list
from ase.spacegroup import crystal

from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.config.systems import GeometryConfig
from aiida_traincraft.science.errors import ConfigError
from aiida_traincraft.science.geometry import build_geometry
from aiida_traincraft.science.geometry.transforms.slab import SlabTransformConfig, slab
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.workspace import Workspace

A = 4.0


def cut(crystal, **keys):
    config = SlabTransformConfig(**{'miller': (1, 1, 1), 'layers': 4, 'vacuum': 6.0} | keys)
    return slab(Structure(crystal), config, np.random.default_rng(0)).atoms


def heights(atoms):
    return np.unique(np.round(atoms.positions[:, 2], 6))


def area(atoms):
    return float(np.linalg.norm(np.cross(atoms.cell[0], atoms.cell[1])))


def plane(atoms, place):
    z = atoms.positions[:, 2]
    return atoms[abs(z - (z.max() if place == 'top' else z.min())) < 0.1].get_chemical_formula(empirical=True)


def shells(atoms):
    """Distances (Å) below 6 Å, all sorted: what no rotation changes."""
    return np.sort(neighbor_list('d', atoms, 6.0))


def left_handed(atoms):
    swapped = atoms.copy()
    swapped.set_cell(atoms.cell.array[[2, 1, 0]])
    return swapped


def rotated(atoms):
    turned = atoms.copy()
    turned.rotate(40, (1, 2, 3), rotate_cell=True)
    turned.positions += 0.37
    turned.wrap()
    return turned


def skewed(atoms):
    skew = atoms.copy()
    skew.set_cell(np.array([[1, 0, 0], [1, 1, 0], [-1, 2, 1]]) @ atoms.cell.array)
    skew.wrap()
    return skew


RUTILE = crystal(('Ti', 'O'), [(0, 0, 0), (0.305, 0.305, 0)], spacegroup=136, cellpar=[4.594, 4.594, 2.959, 90, 90, 90])
CORUNDUM = crystal(
    ('Al', 'O'), [(0, 0, 0.352), (0.306, 0, 0.25)], spacegroup=167, cellpar=[4.76, 4.76, 12.99, 90, 90, 120]
)
PEROVSKITE = crystal(
    ('Sr', 'Ti', 'O'), [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)], spacegroup=221, cellpar=[3.905] * 3 + [90] * 3
)
CRYSTALS = [
    (bulk('Cu', a=A, cubic=True), bulk('Cu', a=A), (1, 0, 0)),
    (bulk('NaCl', 'rocksalt', a=5.6, cubic=True), bulk('NaCl', 'rocksalt', a=5.6), (1, 1, 1)),
    (bulk('Mg', a=3.2, c=5.2).repeat((2, 1, 1)), bulk('Mg', a=3.2, c=5.2), (0, 0, 1)),
    (RUTILE.repeat((1, 1, 3)), RUTILE, (1, 1, 0)),
    (CORUNDUM, CORUNDUM.repeat((2, 1, 1)), (0, 0, 1)),
]


@pytest.mark.parametrize(
    ('miller', 'spacing', 'surface'),
    [
        ((1, 1, 1), A / np.sqrt(3), A**2 * np.sqrt(3) / 4),
        ((1, 0, 0), A / 2, A**2 / 2),
        ((2, 2, 0), A / np.sqrt(8), A**2 / np.sqrt(2)),
        ((3, 1, 1), A / np.sqrt(11), A**2 * np.sqrt(11) / 4),
    ],
)
def test_a_cif_of_ones_own(tmp_path, miller, spacing, surface):
    ase.io.write(tmp_path / 'own.cif', bulk('Cu', a=A, cubic=True))
    config = GeometryConfig.model_validate_json(
        f'{{"source": {{"type": "file", "path": "own.cif"}}, "transforms": '
        f'[{{"type": "slab", "miller": {list(miller)}, "layers": 7, "vacuum": 6.5}},'
        '{"type": "supercell", "repeat": [2, 3, 1]}]}'
    )
    atoms = build_geometry(config, Workspace(tmp_path)).atoms
    assert len(atoms) == 7 * 6
    assert np.diff(heights(atoms)) == pytest.approx([spacing] * 6, abs=1e-5)
    assert area(atoms) == pytest.approx(6 * surface)
    assert atoms.pbc.tolist() == [True, True, False]
    assert heights(atoms)[0] == pytest.approx(6.5)
    assert atoms.cell[2].tolist() == pytest.approx([0, 0, 13.0 + 6 * spacing])
    distances = atoms.get_all_distances(mic=True)
    assert distances[distances > 0].min() == pytest.approx(A / np.sqrt(2))


@pytest.mark.parametrize(('one', 'other', 'miller'), CRYSTALS)
def test_any_description_of_a_crystal_gives_the_same_slab(one, other, miller):
    expected = cut(one, miller=miller, layers=3)
    for described in (left_handed(one), skewed(one), rotated(left_handed(skewed(other)))):
        found = cut(described, miller=miller, layers=3)
        assert found.symbols.formula.count() == expected.symbols.formula.count()
        assert heights(found) == pytest.approx(heights(expected), abs=1e-4)
        assert (plane(found, 'bottom'), plane(found, 'top')) == (plane(expected, 'bottom'), plane(expected, 'top'))
        assert area(found) == pytest.approx(area(expected))
        assert shells(found) == pytest.approx(shells(expected), abs=1e-4)
        assert np.linalg.det(found.cell.array) > 0


def test_both_terminations_of_a_polar_surface():
    salt = bulk('NaCl', 'rocksalt', a=5.6)
    for element in ('Na', 'Cl'):
        atoms = cut(salt, termination=element)
        assert (plane(atoms, 'top'), len(atoms)) == (element, 8)
        assert plane(atoms, 'bottom') != element
        assert np.diff(heights(atoms)) == pytest.approx([5.6 / np.sqrt(12)] * 7, abs=1e-4)
        even = cut(salt, termination=element, symmetric=True)
        assert (plane(even, 'top'), plane(even, 'bottom'), len(even)) == (element, element, 7)
    numbered = [cut(salt, termination=number, symmetric=True) for number in (0, 1)]
    assert {plane(atoms, 'top') for atoms in numbered} == {'Na', 'Cl'}


def test_a_slab_turned_upside_down_keeps_its_hand():
    places = [(0.47, 0, 0), (0.4135, 0.2669, 0.1191)]
    quartz = crystal(('Si', 'O'), places, spacegroup=152, cellpar=[4.913, 4.913, 5.405, 90, 90, 120])
    up, down = (cut(quartz, miller=(0, 0, 1), layers=2, termination=name) for name in ('Si', 'O'))
    assert (plane(up, 'top'), plane(down, 'top')) == ('Si', 'O')
    assert hand(up) * hand(down) > 0


def hand(atoms):
    """Sum of the triple products of three bonds one after another: a mirror changes its sign."""
    total = 0.0
    first, second, steps = neighbor_list('ijD', atoms, 1.8)
    for middle in range(len(first)):
        for before in steps[second == first[middle]]:
            for after in steps[first == second[middle]]:
                total += float(np.dot(np.cross(before, steps[middle]), after))
    return total


def test_the_axes_of_the_file_where_they_are_asked_for():
    tall = Atoms('Cu', cell=[5.0, 3.0, 4.0], pbc=True)
    own = cut(tall, miller=(1, 0, 0), axes='own', layers=3)
    assert np.diff(heights(own)) == pytest.approx([5.0] * 2)
    assert np.diff(heights(cut(tall, miller=(0, 0, 1), layers=3))) == pytest.approx([5.0] * 2)
    primitive = bulk('Cu', a=A)
    assert area(cut(primitive, axes='own', miller=(1, 0, 0))) == pytest.approx(A**2 * np.sqrt(3) / 4)
    repeated = bulk('Cu', a=A, cubic=True).repeat((1, 1, 4))
    assert np.diff(heights(cut(repeated, axes='own', miller=(0, 0, 1)))) == pytest.approx([A / 2] * 3)


def test_moments_and_masses_stay_and_tell_atoms_apart():
    iron = bulk('Fe', 'bcc', a=2.8, cubic=True)
    iron.set_initial_magnetic_moments([2.0, -2.0])
    iron.set_masses([57.0, 54.0])
    atoms = cut(iron, miller=(1, 1, 0), layers=2)
    assert sorted(atoms.get_initial_magnetic_moments()) == [-2.0, -2.0, 2.0, 2.0]
    assert (atoms.get_masses() == np.where(atoms.get_initial_magnetic_moments() > 0, 57.0, 54.0)).all()


def test_periodic_where_it_is_asked_for():
    assert cut(bulk('Cu'), periodic=True).pbc.all()


@pytest.mark.parametrize(
    ('structure', 'keys', 'message'),
    [
        (molecule('H2O'), {}, '"slab" cuts a crystal, but H2O is not periodic in three directions'),
        (bulk('NaCl', 'rocksalt', a=5.6), {'termination': 1},
         '"termination" 1 is none of the slabs [1, 1, 1]: 0: '),
        (bulk('NaCl', 'rocksalt', a=5.6), {'termination': 'NaCl'}, "'NaCl' is that of none of the slabs"),
        (PEROVSKITE, {'miller': (1, 0, 0), 'termination': 'Ti'},
         "\"termination\" 'Ti' is that of none of the slabs [1, 0, 0]: 0: O2Ti below, OSr on top"),
        (bulk('Si', a=5.43), {'termination': 'Si'}, "'Si' is that of several slabs; give one by number: 0: Si below"),
        (bulk('ZnO', 'wurtzite', a=3.25, c=5.2), {'miller': (0, 0, 1), 'symmetric': True},
         '"symmetric": no slab [0, 0, 1] of O2Zn2 has equivalent sides'),
        (Atoms('Cu2', [[0, 0, 0], [0, 0, 0]], cell=[3, 3, 3], pbc=True), {}, 'do atoms coincide?'),
        (CORUNDUM, {'layers': 10_000}, '"layers" asks for 1e+05 atoms'),
    ],
)  # fmt: skip
def test_what_cannot_be_cut(structure, keys, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        cut(structure, **keys)


def test_molecules_are_not_cut():
    ice = Atoms('OH2', [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]], cell=[4, 4, 4], pbc=True)
    ice.set_array('tc_fragment', np.zeros(3, dtype=int))
    with pytest.raises(ValueError, match='"slab" would cut the molecules of H2O'):
        cut(ice)


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'vacuum': None}, 'vacuum: this key is required'),
        ({'layers': None}, 'layers: this key is required'),
        ({'miller': [0, 0, 0]}, r'miller: \[0, 0, 0\] is no plane'),
        ({'miller': [1, 1]}, 'miller'),
        ({'termination': -1}, 'termination'),
        ({'termination': 'Qq'}, "termination: .*'Qq' is no formula of a plane"),
        ({'termination': 1.5}, 'termination'),
        ({'vacuum': 0.0}, 'vacuum'),
    ],
)
def test_config(keys, message):
    table = {'type': 'slab', 'miller': [1, 1, 1], 'layers': 3, 'vacuum': 6.0} | keys
    with pytest.raises(ConfigError, match=message):
        parse_plugin('transform', {key: value for key, value in table.items() if value is not None})
