"""Pair potentials as an ASE calculator, and as a table for LAMMPS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import atomic_numbers
from ase.neighborlist import neighbor_list
from ase.stress import full_3x3_to_voigt_6_stress

from aiida_traincraft.science.atoms.arrays import FloatArray, IntArray

Pair = tuple[str, str]
"""Two elements, alphabetical."""

SKIN = 0.6
"""Distance (Å) beyond the cutoff up to which pairs are listed, to be used again while no atom moved by half of it."""
TABLE_POINTS = 10_000
"""Points of a curve in a table, and of LAMMPS's own: where both have as many, LAMMPS takes them as they are."""
TABLE_BEGIN = 0.1
"""Where a table begins, as a fraction of the cutoff: LAMMPS stops when atoms come closer."""


@dataclass(frozen=True)
class PairCurve:
    """Energy of two atoms by their distance; zero, with its slope, from the cutoff on."""

    function: Callable[[FloatArray], tuple[FloatArray, FloatArray]]
    """Of distances (n,) in Å below the cutoff: energies (eV) and slopes dE/dr (eV/Å), both (n,)."""
    cutoff: float
    """Å."""


class PairCalculator(Calculator):  # type: ignore[misc]
    """Sum of a curve over all pairs of atoms; pairs of elements without a curve do not interact.

    Parameters
    ----------
    curves
        By two elements (alphabetical).
    """

    implemented_properties: ClassVar[list[str]] = ['energy', 'free_energy', 'energies', 'forces', 'stress']

    def __init__(self, curves: Mapping[Pair, PairCurve]) -> None:
        super().__init__()
        self.curves = dict(curves)
        self._reach = max((curve.cutoff for curve in self.curves.values()), default=0.0)
        self._listed: tuple[Atoms, IntArray, IntArray, FloatArray] | None = None

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Evaluate all properties; ``stress`` (eV/Å³, ASE's sign) where the cell has a volume."""
        super().calculate(atoms, properties or ['energy'], system_changes)
        count, numbers = len(self.atoms), self.atoms.numbers
        first, second, vectors = self._neighbours(self.atoms)
        distances = np.linalg.norm(vectors, axis=1)
        energies, slopes = np.zeros(len(distances)), np.zeros(len(distances))
        low, high = np.minimum(numbers[first], numbers[second]), np.maximum(numbers[first], numbers[second])
        for pair, curve in self.curves.items():
            one, other = sorted(atomic_numbers[element] for element in pair)
            chosen = (low == one) & (high == other) & (distances < curve.cutoff)
            energies[chosen], slopes[chosen] = curve.function(distances[chosen])
        # Every pair is there twice, once from either side.
        per_atom = 0.5 * np.bincount(first, energies, count)
        pulls = (slopes / distances)[:, None] * vectors
        forces = np.stack([np.bincount(first, pulls[:, axis], count) for axis in range(3)], axis=1)
        energy = float(per_atom.sum())
        self.results = {'energy': energy, 'free_energy': energy, 'energies': per_atom, 'forces': forces}
        if self.atoms.cell.rank == 3:
            virial = 0.5 * pulls.T @ vectors
            self.results['stress'] = full_3x3_to_voigt_6_stress(virial / self.atoms.get_volume())

    def _neighbours(self, atoms: Atoms) -> tuple[IntArray, IntArray, FloatArray]:
        """Pairs of atoms, with all that are within reach among them, and the vectors (Å) from first to second."""
        if self._listed is None or not _is_near(self._listed[0], atoms):
            first, second, images = neighbor_list('ijS', atoms, self._reach + SKIN)
            self._listed = atoms.copy(), first, second, images @ atoms.cell.array
        _, first, second, shifts = self._listed
        return first, second, atoms.positions[second] - atoms.positions[first] + shifts


def _is_near(listed: Atoms, atoms: Atoms) -> bool:
    """Whether neighbours that were listed for one of two structures will do for the other."""
    return (
        np.array_equal(listed.numbers, atoms.numbers)
        and np.array_equal(listed.pbc, atoms.pbc)
        and np.array_equal(listed.cell.array, atoms.cell.array)
        and bool((((listed.positions - atoms.positions) ** 2).sum(axis=1) < (SKIN / 2) ** 2).all())
    )


def pair_of(name: str) -> Pair:
    """Two elements (alphabetical) of a name such as "Cu-Au".

    Raises
    ------
    ValueError
        If it is none.
    """
    elements = name.split('-')
    if len(elements) != 2 or any(element == 'X' or element not in atomic_numbers for element in elements):
        raise ValueError(f'{name!r} names no two elements: write them as "Cu-Au"')
    return min(elements), max(elements)


def pairs_of(names: Iterable[str]) -> frozenset[Pair]:
    """Pairs of names such as "Cu-Au".

    Raises
    ------
    ValueError
        If a name is none, or two name one pair.
    """
    found = [pair_of(name) for name in names]
    if repeated := sorted({'-'.join(pair) for pair in found if found.count(pair) > 1}):
        raise ValueError(f'pairs are given twice: {", ".join(repeated)}')
    return frozenset(found)


def pairs_between(elements: Iterable[str]) -> list[Pair]:
    """All pairs of elements, each alphabetical."""
    return list(combinations_with_replacement(sorted(set(elements)), 2))


def lammps_table(calculator: PairCalculator) -> str:
    """Content of a file for LAMMPS's ``pair_style table spline 10000`` (``units metal``), a section for each pair.

    The sections are called as "Au-Cu". Points are even in the square of the distance, as LAMMPS's own are.
    """
    lines = ['# pair energies (eV) and forces (eV/Angstrom) UNITS: metal']
    for pair, curve in sorted(calculator.curves.items()):
        begin = TABLE_BEGIN * curve.cutoff
        distances = np.sqrt(np.linspace(begin**2, curve.cutoff**2, TABLE_POINTS))
        energies, slopes = np.zeros(TABLE_POINTS), np.zeros(TABLE_POINTS)
        energies[:-1], slopes[:-1] = curve.function(distances[:-1])
        lines += ['', '-'.join(pair), f'N {TABLE_POINTS} RSQ {begin!r} {curve.cutoff!r}', '']
        rows = zip(distances, energies, -slopes, strict=True)
        lines += [f'{index} {r:.15g} {e:.15g} {f:.15g}' for index, (r, e, f) in enumerate(rows, 1)]
    return '\n'.join(lines) + '\n'
