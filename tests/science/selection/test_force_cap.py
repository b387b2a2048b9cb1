import numpy as np
import pytest
from ase.build import bulk

from aiida_traincraft.science.config.selection import SelectionConfig
from aiida_traincraft.science.selection import FunnelContext, Pool, apply_funnel
from aiida_traincraft.science.selection.force_cap import ForceCapConfig, force_cap
from aiida_traincraft.science.structure import Structure


def forced(*forces):
    return [Structure(bulk('Cu'), {} if force is None else {'forces': np.array([force], float)}) for force in forces]


def test_the_norm_of_the_force_on_any_atom_counts():
    pool = Pool(forced([3, 4, 0], [3, 4, 0.1], None, [np.nan, 0, 0]), FunnelContext(10), np.random.default_rng(0))
    result = force_cap(pool, ForceCapConfig(max_force=5.0))
    assert pool.alive == [0, 2]
    assert result.reasons == {'a force not finite or above 5 eV/Å': 2}


def test_unknown_forces_pass():
    pool = Pool(forced(None, None), FunnelContext(10), np.random.default_rng(0))
    assert force_cap(pool, ForceCapConfig(max_force=5.0)).reasons == {'no frame carries forces, all pass': 2}
    assert pool.alive == [0, 1]


def test_what_is_capped_does_not_count_as_uncertain():
    frames = forced([1, 0, 0], [9, 0, 0])
    for frame in frames:
        frame.properties['uncertainty'] = np.array([3.0])
    config = SelectionConfig.model_validate({'stages': [{'type': 'force_cap', 'max_force': 5.0}]})
    assert apply_funnel(frames, config, FunnelContext(10, lo=1.0)).n_uncertain == 1


def test_the_cap_is_positive():
    with pytest.raises(ValueError, match='greater than 0'):
        ForceCapConfig(max_force=0.0)
