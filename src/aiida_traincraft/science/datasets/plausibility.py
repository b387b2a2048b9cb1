"""Whether labels that come from elsewhere can be meant in our units: eV, Å, eV/Å, eV/Å³ with ASE's sign."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase.data import covalent_radii
from ase.units import Hartree

from aiida_traincraft.science.atoms.distances import minimum_distance
from aiida_traincraft.science.datasets.consistency import Consistency
from aiida_traincraft.science.datasets.extxyz import read_labelled
from aiida_traincraft.science.datasets.label_keys import LabelKeys
from aiida_traincraft.science.datasets.refusals import FrameError, RefusedFrame
from aiida_traincraft.science.structure import Structure

RULES = {
    'net_force': 'forces of a frame do not sum to zero',
    'large_force': 'a force is far larger than any that a potential should learn',
    'large_stress': 'a stress is far larger than matter withstands',
    'short_distance': 'two atoms lie almost on each other',
    'density': 'a periodic cell is far too small for its atoms',
    'last_line': 'the last row of a file has no end of line, and may be cut inside a number',
    'fixed_atoms': 'forces on atoms that were held are exactly zero',
    'low_energy': 'an energy is below that of all electrons of the atoms',
    'units': 'energies do not follow from forces and stress along the frames',
}
"""What can be allowed by name."""

LARGEST_NUMBER = 1e7
NET_FORCE = 0.02
LARGEST_FORCE = 300.0
LARGEST_STRESS = 5.0
SHORTEST_DISTANCE = 0.3
SMALLEST_VOLUME = 2.0
MANY_ATOMS = 200
# Of the Thomas-Fermi atom, whose total energy lies below the true one; with room for relativity.
ALL_ELECTRONS = 1.2 * 0.7687 * Hartree


@dataclass
class Judged:
    """What reading told besides the frames, through all files."""

    counts: Counter[str] = field(default_factory=Counter)
    """Frames that held each key."""
    unused: Counter[str] = field(default_factory=Counter)
    """Frames with each key that looks like a label and was not used."""
    notes: list[str] = field(default_factory=list)
    """What the user should know of a file."""
    problems: list[str] = field(default_factory=list)
    """What is wrong with a file as a whole."""


@dataclass(frozen=True)
class JudgedFrame:
    """A frame, or why it is refused."""

    file: str
    number: int
    """In its file."""
    n_bytes: int
    """Length of the frame in the file."""
    found: Structure | RefusedFrame


def read_plausible(
    paths: Sequence[Path], chosen: Mapping[str, str], allowed: Sequence[str]
) -> Iterator[JudgedFrame | Judged]:
    """Read labelled extended XYZ files and judge every frame.

    Parameters
    ----------
    paths
        The files.
    chosen
        Key by property, where the user chose (see :class:`~aiida_traincraft.science.datasets.label_keys.LabelKeys`).
    allowed
        Names of ``RULES`` that are not applied.

    Yields
    ------
    JudgedFrame, and in the end Judged
        Frames in the order of the files.
    """
    judged = Judged()
    base_names = Counter(path.name for path in paths)
    for path in paths:
        name = path.name if base_names[path.name] == 1 else str(path)
        keys, consistency = LabelKeys(dict(chosen)), Consistency()
        for number, (found, n_bytes) in enumerate(read_labelled(path, keys, name, allowed)):
            if isinstance(found, Structure):
                try:
                    check_frame(found, allowed)
                    consistency.add(found)
                except ValueError as error:
                    found = RefusedFrame(name, number, getattr(error, 'rule', 'format'), str(error))
            yield JudgedFrame(name, number, n_bytes, found)
        judged.counts += keys.counts
        judged.unused += keys.unused
        judged.notes += [f'{name}: {text}' for text in keys.notes()]
        judged.problems += [f'{name}: {text}' for text in keys.missing()]
        if 'units' not in allowed:
            judged.problems += [f'{name}: {text} (--allow units takes it as it is)' for text in consistency.verdicts()]
    yield judged


def check_frame(structure: Structure, allowed: Sequence[str] = ()) -> None:
    """Refuse a labelled frame whose numbers cannot be meant.

    Parameters
    ----------
    structure
        With energy (eV), forces (eV/Å) and perhaps stress (eV/Å³).
    allowed
        Names of ``RULES`` that are not applied.

    Raises
    ------
    FrameError
        Naming the rule.
    """
    check_numbers(structure, allowed)
    atoms, forces = structure.atoms, structure.properties['forces']
    size = float(np.sqrt(np.einsum('ij,ij->i', forces, forces).max()))
    net = float(np.linalg.norm(forces.sum(axis=0))) / len(atoms)
    if size > LARGEST_FORCE and 'large_force' not in allowed:
        raise FrameError('large_force', f'a force of {size:.0f} eV/Å (limit {LARGEST_FORCE:.0f}): another unit?')
    if net > NET_FORCE and len(atoms) > 1 and 'net_force' not in allowed:
        raise FrameError('net_force', f'the forces sum to {net:.3f} eV/Å per atom instead of zero (limit {NET_FORCE})')
    stress = structure.properties.get('stress')
    if stress is not None and 'large_stress' not in allowed and np.abs(stress).max() > LARGEST_STRESS:
        reason = f'a stress of {np.abs(stress).max():.3g} eV/Å³ (limit {LARGEST_STRESS:.0f}): GPa or kbar?'
        raise FrameError('large_stress', reason)
    if atoms.pbc.all() and 'density' not in allowed:
        volume = abs(np.linalg.det(atoms.cell.array)) / len(atoms)
        if volume < SMALLEST_VOLUME:
            raise FrameError('density', f'{volume:.3g} Å³ per atom (limit {SMALLEST_VOLUME}): another unit of length?')
    if 'short_distance' not in allowed and (ratio := _shortest(structure)) < SHORTEST_DISTANCE:
        reason = f'two atoms at {ratio:.2f} of the sum of their covalent radii (limit {SHORTEST_DISTANCE})'
        raise FrameError('short_distance', f'{reason}: another unit of length?')


def check_numbers(structure: Structure, allowed: Sequence[str] = ()) -> None:
    """Refuse a labelled frame with numbers that are not finite or that no unit of ours explains.

    Raises
    ------
    FrameError
        Naming the rule.
    """
    atoms = structure.atoms
    for name, values in (
        ('positions', atoms.positions),
        ('cell', atoms.cell.array),
        *((key, value) for key, value in structure.properties.items() if key != 'energy'),
        # Of all electrons, a heavy atom has a million eV.
        ('energy', structure.properties['energy'] / len(atoms)),
    ):
        largest = np.abs(values).max()
        if not np.isfinite(largest):
            raise FrameError('finite', f'{name} holds numbers that are not finite')
        if largest > LARGEST_NUMBER:
            raise FrameError('finite', f'{name} holds {largest:.3g}, which no unit of ours explains')
    lowest = -ALL_ELECTRONS * float((atoms.numbers ** (7 / 3)).sum())
    if structure.properties['energy'] < lowest and 'low_energy' not in allowed:
        energy = structure.properties['energy']
        reason = f'an energy of {energy:.6g} eV, below the {lowest:.6g} eV of all electrons: another unit?'
        raise FrameError('low_energy', reason)


def _shortest(structure: Structure) -> float:
    """Shortest distance between two atoms by their covalent radii.

    By the nearest image in fractional coordinates, which is exact for distances as short as the limit.
    """
    atoms = structure.atoms
    n_atoms = len(atoms)
    if n_atoms < 2:
        return float('inf')
    if n_atoms > MANY_ATOMS:
        return minimum_distance(atoms)
    first, second = _pairs(n_atoms)
    points, cell, periodic = atoms.positions, atoms.cell.array, atoms.pbc.any()
    if periodic:
        cell = cell if atoms.pbc.all() else atoms.cell.complete().array
        points = points @ np.linalg.inv(cell)
    # Twice as fast as indexing.
    delta = points.take(first, axis=0) - points.take(second, axis=0)
    if periodic:
        delta = (delta - np.rint(delta) * atoms.pbc) @ cell
    radii = covalent_radii[atoms.numbers]
    reach = radii.take(first) + radii.take(second)
    ratio = np.einsum('ij,ij->i', delta, delta) / reach**2
    return float(np.sqrt(ratio.min()))


@lru_cache(maxsize=MANY_ATOMS)
def _pairs(n_atoms: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Both indices of every pair of atoms."""
    first, second = np.triu_indices(n_atoms, 1)
    return first, second
