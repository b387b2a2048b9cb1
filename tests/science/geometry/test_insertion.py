"""Molecules by SMILES on and in hosts: whole, apart, with a conformer that follows the seed."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from aiida_traincraft.science.atoms.fragments import get_fragments
from aiida_traincraft.science.config.systems import GeometryConfig
from aiida_traincraft.science.geometry import build_geometries

pytest.importorskip('rdkit')

METHANOL = {'smiles': 'CO'}
HOSTS = {
    'surface_adsorbate': {
        'slab': {'name': 'Cu', 'facet': 'fcc111', 'size': [3, 3, 3]},
        'adsorbate': METHANOL,
        'count': 1,
    },
    'filled_nanotube': {'tube': {'n': 10, 'm': 10, 'length': 5}, 'filling': METHANOL, 'count': 1},
    'intercalation': {
        'host': {'name': 'graphene', 'repeat': [4, 4], 'periodic': True},
        'guest': METHANOL,
        'count': 1,
        'gallery_expansion': 5.0,
    },
}


def guest(name, seed):
    config = GeometryConfig.model_validate({'builder': {'type': name, **HOSTS[name]}})
    atoms: Atoms = build_geometries(config, seed=seed)[0].atoms
    fragments = get_fragments(atoms)
    assert set(fragments) == {-1, 0}
    return atoms[fragments == 0]


@pytest.mark.parametrize('name', HOSTS)
def test_methanol_is_whole_and_follows_the_seed(name):
    first, again, other = (guest(name, seed) for seed in (1, 1, 2))
    assert first.get_chemical_formula() == 'CH4O'
    assert first.get_distance(0, 1) == pytest.approx(1.42, abs=0.03)
    assert (first.positions == again.positions).all()
    # Distances within the molecule: another conformer, not only another place.
    assert not np.allclose(first.get_all_distances(), other.get_all_distances(), atol=1e-12)
