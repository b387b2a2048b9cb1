"""Validator ``dimer``: whether pairs of atoms repel each other at short range."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import ClassVar, Literal

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from pydantic import Field, model_validator

from aiida_traincraft.science.atoms.arrays import BoolArray, FloatArray
from aiida_traincraft.science.config.validation import StructureValidatorConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import Curve, Findings, Subject, Validator

INNERMOST_BOND = 0.8
"""Part of the sum of the covalent radii inside which no bond is looked for."""
NOISE = 0.01
"""Depth (eV) below which a hole is not worth a note."""


class DimerConfig(StructureValidatorConfig):
    """Energy of two atoms against their distance, for every pair of the start's elements."""

    quantities: ClassVar[dict[str, str]] = {'hole_depth': 'eV', 'wall_height': 'eV'}
    type: Literal['dimer'] = 'dimer'

    closest: float = Field(default=0.5, gt=0, lt=INNERMOST_BOND)
    """Smallest distance, as a part of the sum of the pair's covalent radii."""
    farthest: float = Field(default=6.0, ge=5, le=50)
    """Largest distance (Å), whose energy counts as zero."""
    step: float = Field(default=0.05, ge=0.005, le=0.2)
    """Step between distances (Å)."""
    box: float | None = None
    """Edge of a periodic cubic box (Å), for a potential or reference that needs one; none by default."""

    @model_validator(mode='after')
    def _large_box(self) -> DimerConfig:
        if self.box is not None and not 2 * self.farthest <= self.box <= 200:
            raise ValueError(
                f'"box" ({self.box} Å) must be at least twice "farthest" ({self.farthest} Å), and at most 200 Å'
            )
        return self


@register('validator', 'dimer', DimerConfig)
class Dimer(Validator):
    """Pairs of atoms, from the reach of the potential to half the length of a bond.

    Atoms that come too close must repel each other: a potential with a hole there lets dynamics fall into it.
    ``hole_depth`` is the largest fall of the energy on the way inwards behind a barrier, both closer than the sum of
    the covalent radii (Cordero et al., Dalton Trans., 2832 (2008)); 0 without one. ``wall_height`` is the energy at the
    smallest distance above the lowest of all; 0 for a pair that collapses. Both are the worst of all pairs; the curve
    ``pairs`` has each.

    Examples
    --------
    .. code-block:: toml

        [validator]
        type = "dimer"
        geometry.builder = { type = "crystal", name = "Cu" }
        at_most = { hole_depth = 0.05 }
        at_least = { wall_height = 1.0 }
    """

    config: DimerConfig

    def plan(self, subject: Subject) -> list[Structure]:
        """Every pair of elements at every distance, from the largest to the smallest."""
        assert subject.start is not None
        config, edge = self.config, self.config.box
        frames = []
        for pair in combinations_with_replacement(subject.start.elements, 2):
            inner = config.closest * bond_length(pair)
            for distance in np.linspace(
                config.farthest, inner, 1 + int(np.ceil((config.farthest - inner) / config.step))
            ):
                atoms = Atoms(pair, [[0, 0, 0], [distance, 0, 0]], cell=[edge] * 3 if edge else None, pbc=bool(edge))
                provenance = subject.start.bare().provenance | {'pair': '-'.join(pair), 'distance': float(distance)}
                frames.append(Structure(atoms, {}, provenance))
        return frames

    def measure(self, frames: Sequence[Structure]) -> Findings:
        """Energies of all pairs, and what is wrong with them at short range."""
        findings = Findings()
        energy: Curve = {'pair': [], 'distance (Å)': [], 'energy (eV)': []}
        pairs: Curve = {'pair': [], 'minimum (Å)': [], 'well (eV)': [], 'hole (eV)': [], 'wall (eV)': []}
        for pair in dict.fromkeys(frame.provenance['pair'] for frame in frames):
            chosen = [frame for frame in frames if frame.provenance['pair'] == pair]
            distances = np.array([frame.provenance['distance'] for frame in chosen])
            energies = np.array([frame.properties['energy'] for frame in chosen])
            energies -= energies[0]
            bonded = distances >= INNERMOST_BOND * bond_length(pair.split('-'))
            bottom = int(energies[bonded].argmin())
            falls = fall_inwards(energies, distances <= bond_length(pair.split('-')))
            hole, wall = float(falls.max()), float(energies[-1] - energies.min())
            row = [pair, float(distances[bottom]), -float(energies[bottom]), hole, wall]
            for column, value in zip(pairs.values(), row, strict=True):
                column.append(value)
            for column, values in zip(energy.values(), ([pair] * len(chosen), distances, energies), strict=True):
                column.extend(np.asarray(values).tolist())
            if hole > NOISE:
                top = int(falls.argmax())
                place = distances[top + int(energies[top:].argmin())]
                findings.notes.append(f'{pair} falls into a hole of {hole:.3g} eV at {place:.2f} Å')
        findings.values = {'hole_depth': max(pairs['hole (eV)']), 'wall_height': min(pairs['wall (eV)'])}
        findings.curves = {'energy': energy, 'pairs': pairs}
        return findings


def fall_inwards(energies: FloatArray, inside: BoolArray) -> FloatArray:
    """How far (eV) the energy falls further inwards, behind a barrier; 0 outside of the sum of the radii.

    Energies go from the largest to the smallest distance. What falls without a barrier is the well itself.
    """
    falls = np.zeros(len(energies))
    close = energies[inside]
    rises = close - np.minimum.accumulate(close)
    falls[inside] = np.where(rises > NOISE, close - np.minimum.accumulate(close[::-1])[::-1], 0.0)
    return falls


def bond_length(pair: Sequence[str]) -> float:
    """Sum of the covalent radii of two elements (Å)."""
    return float(sum(covalent_radii[atomic_numbers[symbol]] for symbol in pair))
