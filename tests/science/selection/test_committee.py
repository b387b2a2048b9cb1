import numpy as np
import pytest
from ase import Atoms

from aiida_traincraft.science.selection import FunnelContext, Pool
from aiida_traincraft.science.selection.committee import CommitteeConfig, committee
from aiida_traincraft.science.structure import Structure


def pool_of(*spreads):
    """Frames with the spread of the energy (eV/atom) and the largest of the forces (eV/Å)."""
    frames = []
    for energy, force in spreads:
        properties = {} if energy is None else {'energy_spread': energy}
        if force is not None:
            properties['uncertainty'] = np.array([0.0, force])
        frames.append(Structure(Atoms('Cu2'), properties))
    return Pool(frames, FunnelContext(10), np.random.default_rng(0))


def test_enough_in_one_and_not_too_much_in_either():
    pool = pool_of((0.001, 0.05), (0.02, 0.05), (0.001, 0.5), (0.02, 5.0), (0.9, 0.5), (None, 0.5), (None, None))
    result = committee(pool, CommitteeConfig(energy_lo=0.01, energy_hi=0.1, force_lo=0.1, force_hi=1.0))
    assert pool.alive == [1, 2, 5]
    assert result.reasons == {
        'spread not above the lower limit': 1,
        'spread above the upper limit': 2,
        'spread unknown': 1,
    }


@pytest.mark.parametrize(
    ('keys', 'alive'), [({'energy_lo': 0.01}, [1]), ({'force_hi': 1.0}, [0, 1]), ({'energy_hi': 0.01}, [0, 2])]
)
def test_what_is_not_asked_for_does_not_count(keys, alive):
    pool = pool_of((0.001, 0.05), (0.02, 0.5), (0.01, 9.0))
    committee(pool, CommitteeConfig(**keys))
    assert pool.alive == alive


def test_a_pool_without_a_committee_passes():
    pool = pool_of((None, 3.0), (None, 1.0))
    result = committee(pool, CommitteeConfig(energy_lo=0.01))
    assert pool.alive == [0, 1]
    assert result.reasons == {'no frame carries the spread of a committee, all pass': 2}


@pytest.mark.parametrize('keys', [{}, {'energy_lo': 0.1, 'energy_hi': 0.1}, {'force_lo': 2.0, 'force_hi': 1.0}])
def test_config(keys):
    with pytest.raises(ValueError, match=r'at least one of|must be below'):
        CommitteeConfig(**keys)
