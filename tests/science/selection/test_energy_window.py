import numpy as np
import pytest
from ase.build import bulk, molecule

from aiida_traincraft.science.selection import FunnelContext, Pool
from aiida_traincraft.science.selection.energy_window import EnergyWindowConfig, energy_window
from aiida_traincraft.science.structure import Structure


def pool_of(frames):
    return Pool(frames, FunnelContext(budget=10), np.random.default_rng(0))


def copper(*per_atom, repeat=1, system='bulk'):
    atoms = bulk('Cu', cubic=True).repeat((repeat, 1, 1))
    return [
        Structure(atoms, {} if value is None else {'energy': value * len(atoms)}, {'system': system})
        for value in per_atom
    ]


def test_energies_count_per_atom_from_the_lowest_of_the_composition():
    pool = pool_of([*copper(-3.5, -3.4, -2.9), *copper(-3.1, -2.9, repeat=2)])
    result = energy_window(pool, EnergyWindowConfig(above=0.5))
    assert pool.alive == [0, 1, 3]
    assert (result.entered, result.dropped) == (5, 2)
    assert result.reasons == {'energy more than 0.5 eV/atom above the lowest': 2}


def test_groups_are_compositions_or_systems():
    water = Structure(molecule('H2O'), {'energy': -30.0}, {'system': 'bulk'})
    pool = pool_of([*copper(-3.5, -3.4), water])
    assert energy_window(pool, EnergyWindowConfig(above=0.5)).dropped == 0
    assert energy_window(pool, EnergyWindowConfig(above=0.5, per='system')).dropped == 2
    assert pool.alive == [2]
    pool = pool_of([*copper(-3.5), *copper(-2.0, system='slab')])
    assert energy_window(pool, EnergyWindowConfig(above=0.5, per='system')).dropped == 0
    assert energy_window(pool, EnergyWindowConfig(above=0.5)).dropped == 1


def test_a_hole_of_the_potential_is_dropped_and_is_no_lowest_frame():
    frames = copper(-3.5, -3.4, -3.3, -90.0, np.nan)
    without = pool_of(frames)
    energy_window(without, EnergyWindowConfig(above=0.5))
    assert without.alive == [3]
    pool = pool_of(frames)
    result = energy_window(pool, EnergyWindowConfig(above=0.5, below=1.0))
    assert pool.alive == [0, 1, 2]
    assert result.reasons == {'energy not finite or more than 1 eV/atom below the median': 2}


def test_unknown_energies_pass():
    pool = pool_of(copper(-3.5, None, -2.0))
    energy_window(pool, EnergyWindowConfig(above=0.5))
    assert pool.alive == [0, 1]
    pool = pool_of(copper(None, None))
    assert energy_window(pool, EnergyWindowConfig(above=0.5)).reasons == {'no frame carries an energy, all pass': 2}
    assert pool.alive == [0, 1]
    assert energy_window(pool_of([]), EnergyWindowConfig(above=0.5)).entered == 0


@pytest.mark.parametrize('keys', [{}, {'above': 0.0}, {'above': 1.0, 'below': -1.0}, {'above': 1.0, 'per': 'atom'}])
def test_config(keys):
    with pytest.raises(ValueError, match=r'required|greater than 0|should be'):
        EnergyWindowConfig(**keys)
