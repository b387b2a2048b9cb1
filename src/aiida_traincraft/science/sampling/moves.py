"""Trial moves of Monte Carlo: each proposes with equal probability there and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial.transform import Rotation

from aiida_traincraft.science.atoms.fragments import BOND_SCALE, get_fragments, molecules

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Torsion:
    """A bond that the part of a molecule behind it may turn about."""

    fixed: int
    """Atom at its beginning."""
    turned: int
    """Atom at its end, on the side that turns."""
    atoms: Indices
    """Atoms that turn: the smaller side."""

    def moved(self, places: Indices) -> Torsion:
        """The same bond after atoms were added or removed; ``places`` is the new index of each old atom."""
        return Torsion(int(places[self.fixed]), int(places[self.turned]), places[self.atoms])


def movable_units(atoms: Atoms, framework: bool) -> list[Indices]:
    """What moves as a whole: each molecule, and each atom of the framework if that is free."""
    units = molecules(atoms)
    if framework:
        units += [np.array([index]) for index in np.flatnonzero(get_fragments(atoms) < 0)]
    return units


def torsions(atoms: Atoms) -> list[Torsion]:
    """Bonds of molecules with atoms on both sides, in no ring, by connectivity."""
    found = []
    first, second = neighbor_list('ij', atoms, BOND_SCALE * covalent_radii[atoms.numbers])
    for members in molecules(atoms):
        inside = np.isin(first, members) & np.isin(second, members)
        bonds = {(i, j) for i, j in zip(first[inside].tolist(), second[inside].tolist(), strict=True) if i < j}
        for bond in sorted(bonds):
            rest = bonds - {bond}
            graph = coo_matrix(
                (np.ones(len(rest)), tuple(np.array(sorted(rest)).reshape(-1, 2).T)), shape=(len(atoms),) * 2
            )
            _, labels = connected_components(graph, directed=False)
            sides = [members[labels[members] == labels[end]] for end in bond]
            if labels[bond[0]] == labels[bond[1]] or min(map(len, sides)) < 2:
                continue
            small = int(len(sides[1]) < len(sides[0]))
            found.append(Torsion(bond[1 - small], bond[small], sides[small]))
    return found


def translate(atoms: Atoms, units: Sequence[Indices], size: float, rng: np.random.Generator) -> None:
    """Move one unit by a vector uniform in a cube of half edge ``size`` (Å)."""
    unit = units[int(rng.integers(len(units)))]
    atoms.positions[unit] += rng.uniform(-size, size, 3)


def rotate(atoms: Atoms, units: Sequence[Indices], size: float, rng: np.random.Generator) -> None:
    """Turn one unit of several atoms about its centre of mass: axis uniform, angle uniform up to ``size`` (degrees)."""
    unit = units[int(rng.integers(len(units)))]
    masses = atoms.get_masses()[unit]
    centre = masses @ atoms.positions[unit] / masses.sum()
    axis = rng.normal(size=3)
    turn = Rotation.from_rotvec(axis / np.linalg.norm(axis) * np.radians(rng.uniform(-size, size)))
    atoms.positions[unit] = turn.apply(atoms.positions[unit] - centre) + centre


def turn_bond(atoms: Atoms, bonds: Sequence[Torsion], size: float, rng: np.random.Generator) -> None:
    """Turn one side of a molecule about a bond by an angle uniform up to ``size`` (degrees)."""
    bond = bonds[int(rng.integers(len(bonds)))]
    begin, end = atoms.positions[bond.fixed], atoms.positions[bond.turned].copy()
    axis = (end - begin) / np.linalg.norm(end - begin)
    turn = Rotation.from_rotvec(axis * np.radians(rng.uniform(-size, size)))
    atoms.positions[bond.atoms] = turn.apply(atoms.positions[bond.atoms] - end) + end


def swap(atoms: Atoms, candidates: Indices, rng: np.random.Generator) -> None:
    """Exchange the places of two atoms of different elements, each such pair with the same probability."""
    numbers = atoms.numbers[candidates]
    while True:
        one, other = rng.integers(len(candidates), size=2)
        if numbers[one] != numbers[other]:
            break
    pair = candidates[[one, other]]
    atoms.positions[pair] = atoms.positions[pair[::-1]]


def scale_volume(atoms: Atoms, units: Sequence[Indices], size: float, rng: np.random.Generator) -> float:
    """Change ln V by a number uniform up to ``size``; units keep their shape and move with the cell. Returns Δ ln V."""
    change = float(rng.uniform(-size, size))
    factor = np.exp(change / 3)
    masses = atoms.get_masses()
    for unit in units:
        centre = masses[unit] @ atoms.positions[unit] / masses[unit].sum()
        atoms.positions[unit] += (factor - 1) * centre
    atoms.set_cell(atoms.cell.array * factor)
    return change
