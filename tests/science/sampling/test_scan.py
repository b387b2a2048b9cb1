"""Sampler ``scan``."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import fcc111, molecule
from pydantic import ValidationError

from aiida_traincraft.science.sampling import sample
from aiida_traincraft.science.sampling.scan import ScanAxis, ScanConfig
from aiida_traincraft.science.structure import Structure


def axis(coordinate, start, stop, n, **keys):
    return ScanAxis(coordinate=coordinate, start=start, stop=stop, n=n, **keys)


@pytest.fixture
def water():
    return Structure(molecule('H2O'), {}, {'system': 'water'})


@pytest.fixture
def adsorbate():
    atoms = fcc111('Cu', (2, 2, 2), a=3.6, vacuum=8.0)
    fragments = np.full(8, -1)
    # Across the border of the cell: a scan moves the molecule as a whole.
    carbon = np.array([0.02, 0.02, atoms.positions[:, 2].max() + 2.0])
    guest = Atoms('CO', positions=[carbon, carbon + np.array([-0.6, 0, 0.95])])
    atoms.extend(guest)
    atoms.set_array('tc_fragment', np.append(fragments, [0, 0]))
    atoms.wrap()
    return Structure(atoms)


def test_distance_and_angle_in_grid_order(water):
    axes = (axis('distance', 0.8, 1.2, 3, atoms=(0, 2)), axis('angle', 90.0, 180.0, 4, atoms=(1, 0, 2)))
    run = sample(water, None, None, ScanConfig(axes=axes, moving=(2,)), seed=1)
    assert (run.end, run.steps, len(run.frames)) == ('finished', 12, 12)
    values = [frame.provenance['scan'] for frame in run.frames]
    assert values == [[length, angle] for length in (0.8, 1.0, 1.2) for angle in (90, 120, 150, 180)]
    for frame, (length, angle) in zip(run.frames, values, strict=True):
        assert frame.atoms.get_distance(0, 2) == pytest.approx(length, abs=1e-6)
        assert frame.atoms.get_angle(1, 0, 2) == pytest.approx(angle, abs=1e-4)
        assert np.array_equal(frame.atoms.positions[:2], water.atoms.positions[:2])
        assert frame.provenance['system'] == 'water'
    assert run.frames[3].provenance['frame'] == 3


def test_straight_angle_can_be_bent():
    start = Structure(molecule('CO2'))
    config = ScanConfig(axes=(axis('angle', 180.0, 120.0, 3, atoms=(1, 0, 2)),), moving=(2,))
    angles = [frame.atoms.get_angle(1, 0, 2) for frame in sample(start, None, None, config).frames]
    assert angles == pytest.approx([180, 150, 120], abs=1e-4)


def test_molecule_on_a_surface(adsorbate):
    up, turn = (0.0, 0.0, 2.0), (0.0, 0.0, -1.0)
    axes = (axis('translation', 0.0, 1.0, 3, direction=up), axis('rotation', 0.0, 180.0, 2, direction=turn))
    run = sample(adsorbate, None, None, ScanConfig(axes=axes, fragment=0))
    assert len(run.frames) == 6
    bond = adsorbate.atoms.get_distance(8, 9, mic=True)
    for frame in run.frames:
        assert frame.atoms.get_distance(8, 9, mic=True) == pytest.approx(bond)
        assert np.array_equal(frame.atoms.positions[:8], adsorbate.atoms.positions[:8])
        assert frame.atoms.arrays['tc_fragment'].tolist() == [-1] * 8 + [0, 0]
    heights = [frame.atoms.get_center_of_mass(indices=[8, 9])[2] for frame in run.frames]
    assert np.diff(heights) == pytest.approx([0, 0.5, 0, 0.5, 0], abs=1e-9)
    first, turned = (frame.atoms.get_distance(8, 9, mic=True, vector=True) for frame in run.frames[:2])
    assert turned == pytest.approx(first * [-1, -1, 1], abs=1e-9)


def test_dense_points_are_left_out(water):
    axes = (axis('distance', 0.2, 1.0, 5, atoms=(0, 2)),)
    run = sample(water, None, None, ScanConfig(axes=axes, moving=(2,), min_distance=0.7))
    assert [frame.provenance['scan'][0] for frame in run.frames] == [0.8, 1.0]
    assert run.steps == 5
    with pytest.raises(ValueError, match=r'at all 5 points .* "min_distance" \(1\.5'):
        sample(water, None, None, ScanConfig(axes=axes, moving=(2,), min_distance=1.5))


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'moving': (7,)}, '"moving" or "atoms" of an axis names atom 7; there are 0 to 2'),
        ({'fragment': 3}, r'there is no "fragment" 3; the structure has \[\]'),
        ({'moving': (1,)}, r'of "atoms" \[0, 2\] the last one must move'),
        ({'moving': (0, 2)}, r'of "atoms" \[0, 2\] the last one must move and the others not'),
    ],
)
def test_what_the_structure_lacks(water, keys, message):
    axes = (axis('distance', 0.8, 1.2, 3, atoms=(0, 2)),)
    with pytest.raises(ValueError, match=message):
        sample(water, None, None, ScanConfig(axes=axes, **keys))


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'coordinate': 'distance', 'atoms': (0, 0)}, 'needs 2 different "atoms"'),
        ({'coordinate': 'distance', 'atoms': (0, 1, 2)}, 'needs 2 different "atoms"'),
        ({'coordinate': 'angle', 'atoms': (0, 1)}, 'needs 3 different "atoms"'),
        ({'coordinate': 'translation'}, 'needs a "direction"'),
        ({'coordinate': 'rotation', 'direction': (0.0, 0.0, 0.0)}, 'that is not zero'),
        ({'coordinate': 'distance', 'atoms': (0, 1), 'start': 0.0}, 'above 0'),
        ({'coordinate': 'angle', 'atoms': (0, 1, 2), 'stop': 200.0}, 'within 0 and 180'),
    ],
)
def test_axis_limits(keys, message):
    with pytest.raises(ValidationError, match=message):
        ScanAxis(**({'start': 1.0, 'stop': 2.0, 'n': 2} | keys))


def test_config_limits():
    many = axis('translation', 0.0, 1.0, 200, direction=(1.0, 0.0, 0.0))
    with pytest.raises(ValidationError, match='"axes" ask for 40000 frames, more than 10000'):
        ScanConfig(axes=(many, many), moving=(0,))
    for keys in ({}, {'moving': (0,), 'fragment': 1}, {'moving': ()}):
        with pytest.raises(ValidationError, match='give either "fragment" or "moving"'):
            ScanConfig(axes=(many,), **keys)
    with pytest.raises(ValidationError):
        ScanConfig(axes=(), moving=(0,))
