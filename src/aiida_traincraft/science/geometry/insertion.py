"""Guests: atoms and molecules that are placed on or in a host."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.geometry import get_distances
from scipy.spatial.transform import Rotation

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.geometry.species import Species, make_species


def make_inserted(species: Species, rng: np.random.Generator) -> Atoms:
    """Atoms of a species about the origin, without cell; see :func:`make_species`."""
    guest = make_species(species, rng)
    guest.positions -= guest.positions.mean(axis=0)
    return guest


def turned(atoms: Atoms, rng: np.random.Generator, axis: str | None = None) -> Atoms:
    """Copy turned at random about the origin: to any orientation, or only about the axis z."""
    copy: Atoms = atoms.copy()
    turn = Rotation.from_euler('z', rng.uniform(0, 2 * np.pi)) if axis == 'z' else Rotation.random(random_state=rng)
    copy.positions = turn.apply(atoms.positions)
    return copy


def nearest_distance(guest: FloatArray, others: FloatArray, host: Atoms) -> float:
    """Least distance (Å) between positions (n, 3) and others (m, 3) in the periodicity of a host; infinite if none."""
    if not len(others):
        return float('inf')
    return float(get_distances(guest, others, host.cell, host.pbc)[1].min())


def image_distance(guest: FloatArray, host: Atoms) -> float:
    """Least distance (Å) of a guest at positions (n, 3) to its own images along the host's first two vectors."""
    steps = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
    shifts = np.array(steps) @ host.cell.array[:2]
    apart = guest[:, None] - guest
    return float(np.linalg.norm(apart[None] + shifts[:, None, None], axis=-1).min())
