"""Terminations of a slab: the ways to cut a crystal between two planes of atoms."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.atoms.conversion import to_pymatgen
from aiida_traincraft.science.atoms.symmetry import find_symmetry

SAME_PLANE = 0.1
"""Atoms belong to one plane up to this distance along the normal (Å)."""
SYMPREC = 1e-3


def find_terminations(crystal: Atoms, layers: int, symmetric: bool) -> list[Atoms]:
    """Slabs that begin with different planes of atoms.

    Parameters
    ----------
    crystal
        One layer more than the slabs are to have, equal layers upon each other; two cell vectors in the plane, the
        third along z, as long as all layers.
    layers
        Layers of the slabs.
    symmetric
        Only slabs with equivalent sides; up to one layer's planes less one are left out at the top for that.

    Returns
    -------
    list of Atoms
        Without vacuum. Those that symmetry maps on each other appear once.
    """
    thickness = float(crystal.cell[2, 2]) / (layers + 1)
    cuts = _cuts(crystal, thickness)
    found: list[Atoms] = []
    for bottom in cuts:
        tops = bottom + layers * thickness - (np.mod(bottom - cuts, thickness) if symmetric else np.zeros(1))
        slabs = (_between(crystal, bottom, top) for top in sorted(tops, reverse=True))
        slab = next((slab for slab in slabs if len(slab) and (not symmetric or has_equivalent_sides(slab))), None)
        if slab is not None and not any(_equivalent(slab, other) for other in found):
            found.append(slab)
    return found


def set_vacuum(slab: Atoms, vacuum: float) -> Atoms:
    """Copy with the third cell vector along z and a vacuum (Å) below and above the outermost atoms."""
    spaced: Atoms = slab.copy()
    normal = np.cross(slab.cell[0], slab.cell[1])
    spaced.set_cell([slab.cell[0], slab.cell[1], normal / np.linalg.norm(normal)])
    spaced.center(vacuum=vacuum, axis=2)
    spaced.wrap(pbc=[True, True, False])
    return spaced


def has_equivalent_sides(slab: Atoms) -> bool:
    """Whether a symmetry of the slab takes its top to its bottom."""
    spaced = set_vacuum(slab, 10.0)
    cell = (spaced.cell.array, spaced.get_scaled_positions(), spaced.numbers)
    operations = find_symmetry('get_symmetry', cell, symprec=SYMPREC)
    return operations is not None and bool((operations['rotations'][:, 2, 2] == -1).any())


def _cuts(crystal: Atoms, thickness: float) -> FloatArray:
    """Heights (Å) in the middle between neighbouring planes of one layer."""
    heights = np.sort(np.mod(crystal.positions[:, 2], thickness))
    gaps = np.diff(heights, append=heights[0] + thickness)
    wide = gaps > SAME_PLANE if (gaps > SAME_PLANE).any() else gaps == gaps.max()
    return np.sort(np.mod(heights[wide] + gaps[wide] / 2, thickness))


def _between(crystal: Atoms, bottom: float, top: float) -> Atoms:
    heights = crystal.positions[:, 2]
    return crystal[(heights > bottom) & (heights < top)]


def _equivalent(one: Atoms, other: Atoms) -> bool:
    if len(one) != len(other) or (np.sort(one.numbers) != np.sort(other.numbers)).any():
        return False
    # Imported here: it takes seconds.
    from pymatgen.analysis.structure_matcher import StructureMatcher

    matcher = StructureMatcher(ltol=0.01, stol=0.02, angle_tol=0.5, primitive_cell=False, scale=False)
    return bool(matcher.fit(to_pymatgen(set_vacuum(one, 10.0)), to_pymatgen(set_vacuum(other, 10.0))))
