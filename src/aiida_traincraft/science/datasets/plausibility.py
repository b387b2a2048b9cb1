"""Whether labels that come from elsewhere can be meant in our units: eV, Å, eV/Å, eV/Å³ with ASE's sign."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase.data import covalent_radii
from ase.geometry import find_mic
from ase.units import Bohr, GPa, Hartree, Rydberg, kcal, mol

from aiida_traincraft.science.atoms.distances import minimum_distance
from aiida_traincraft.science.datasets.extxyz import FrameError, LabelKeys, RefusedFrame, read_labelled
from aiida_traincraft.science.structure import Structure

RULES = {
    'net_force': 'forces of a frame do not sum to zero',
    'large_force': 'a force is far larger than any that a potential should learn',
    'large_stress': 'a stress is far larger than matter withstands',
    'short_distance': 'two atoms lie almost on each other',
    'density': 'a periodic cell is far too small for its atoms',
    'last_line': 'the last row of a file has no end of line, and may be cut inside a number',
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

LARGEST_STEP = 0.3
LARGEST_STRAIN = 0.05
FEWEST_PAIRS = 5
WELL_FITTED = 0.8
SMALL_PART = 0.01
FACTOR_TOLERANCE = 0.35
FORCE_FACTORS = {
    -1.0: 'the forces have the wrong sign (gradients, perhaps)',
    Hartree / Bohr: 'the forces seem to be in hartree/bohr',
    Rydberg / Bohr: 'the forces seem to be in rydberg/bohr',
    1 / Hartree: 'the energy seems to be in hartree',
    1 / Rydberg: 'the energy seems to be in rydberg',
    1 / Bohr: 'energy and forces seem to be in atomic units (hartree or rydberg, per bohr)',
    kcal / mol: 'the forces seem to be in kcal/mol/Å',
    mol / kcal: 'the energy seems to be in kcal/mol',
}
STRESS_FACTORS = {
    -1.0: 'the stress has the wrong sign: ours is positive under tension',
    GPa: 'the stress seems to be in GPa',
    -GPa: 'the stress seems to be in GPa, with the wrong sign',
    GPa / 10: 'the stress seems to be in kbar',
    -GPa / 10: 'the stress seems to be in kbar, with the wrong sign (that of VASP)',
}


@dataclass
class Judged:
    """What reading told besides the frames, through all files."""

    counts: Counter[str] = field(default_factory=Counter)
    """Frames that held each key."""
    beside: Counter[str] = field(default_factory=Counter)
    """Known keys beside those, not used."""
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
        Key by property, where the user chose (see :class:`~aiida_traincraft.science.datasets.extxyz.LabelKeys`).
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
        judged.beside += keys.beside
        if 'units' not in allowed:
            judged.problems += [f'{name}: {text}' for text in consistency.verdicts()]
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
    atoms, forces = structure.atoms, structure.properties['forces']
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


@dataclass
class Consistency:
    """Whether energies follow from forces and stress: ΔE = −F·Δx + V σ:ε between neighbouring frames of a trajectory.

    Trapezoidal rule over consecutive frames of the same atoms that lie near each other; the two factors that make both
    sides equal are fitted. Right units and signs give 1 for both.
    """

    previous: Structure | None = None
    pairs: list[tuple[float, float, float]] = field(default_factory=list)
    """Change of energy, work of the forces, work of the stress (eV)."""

    def add(self, structure: Structure) -> None:
        """Take the next frame of the file."""
        previous, self.previous = self.previous, structure
        if previous is None or len(previous) != len(structure):
            return
        before, after = previous.atoms, structure.atoms
        if (before.numbers != after.numbers).any() or (before.pbc != after.pbc).any():
            return
        cell, strained = before.cell.array, np.zeros((3, 3))
        moved = before.positions
        if not np.array_equal(cell, after.cell.array):
            if not (before.pbc.all() and 'stress' in previous.properties and 'stress' in structure.properties):
                return
            deformation = np.linalg.solve(cell, after.cell.array)
            strained = (deformation + deformation.T) / 2 - np.eye(3)
            if np.abs(strained).max() > LARGEST_STRAIN:
                return
            moved = moved @ deformation
        step = after.positions - moved
        if np.abs(step).max() > LARGEST_STEP:
            step, _ = find_mic(step, after.cell, after.pbc)
            if np.abs(step).max() > LARGEST_STEP:
                return
        forces = (previous.properties['forces'] + structure.properties['forces']) / 2
        energy = structure.properties['energy'] - previous.properties['energy']
        by_stress = 0.0
        if strained.any():
            voigt = (previous.properties['stress'] + structure.properties['stress']) / 2
            strain = strained.ravel()[[0, 4, 8, 5, 2, 1]] * [1, 1, 1, 2, 2, 2]
            by_stress = float(voigt @ strain) * (before.cell.volume + after.cell.volume) / 2
        self.pairs.append((energy, float(-(forces * step).sum()), by_stress))

    def verdicts(self) -> list[str]:
        """What is wrong with the units or signs, one sentence each; empty if all is well or nothing could be tested."""
        table = np.array(self.pairs, float).reshape(-1, 3)
        energy, work = table[:, 0], table[:, 1:]
        used = [column for column in (0, 1) if work[:, column].any()]
        if len(table) < FEWEST_PAIRS or not used:
            return []
        where = f'along {len(table)} pairs of neighbouring frames'
        if not energy.any():
            return [f'{where} the energies do not change, although forces or stress do work']
        factors = np.linalg.lstsq(work[:, used], energy, rcond=None)[0]
        parts = work[:, used] * factors
        rest = energy - parts.sum(axis=1)
        if rest @ rest > (1 - WELL_FITTED) * (energy @ energy):
            return []
        known = (FORCE_FACTORS, STRESS_FACTORS)
        # What explains next to nothing of the energies is not tested by them.
        found = [
            _judge(float(factor), known[column])
            for column, factor, part in zip(used, factors, parts.T, strict=True)
            if part @ part > SMALL_PART * (energy @ energy)
        ]
        return [f'{where} {text}' for text in found if text]


def _judge(factor: float, known: dict[float, str]) -> str:
    """Meaning of the known factor next to a fitted one; empty where that is 1, or where none is near."""
    near = {value: abs(math.log(factor / value)) for value in (1.0, *known) if factor / value > 0}
    best = min(near, key=lambda value: near[value])
    return '' if best == 1.0 or near[best] > FACTOR_TOLERANCE else f'{known[best]} (factor {factor:.3g})'
