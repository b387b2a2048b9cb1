"""Builder ``dimer``: pairs of atoms at short and long distances."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import Literal

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from pydantic import Field, model_validator

from aiida_traincraft.science.config.kinds import BuilderConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure


class DimerConfig(BuilderConfig):
    """Scans of the distance of every pair of elements: they teach a potential its repulsion."""

    type: Literal['dimer'] = 'dimer'
    elements: list[str] = Field(min_length=1, max_length=20)
    """Chemical symbols; every pair of them is scanned, equal ones included."""
    shortest: float = Field(default=0.6, gt=0, le=10)
    """Shortest distance, as a multiple of the sum of the covalent radii."""
    longest: float = Field(default=2.0, gt=0, le=20)
    """Longest distance, as a multiple of the sum of the covalent radii."""
    n: int = Field(default=10, ge=2, le=1000)
    """Distances of each pair, evenly spaced."""
    box: float | None = Field(default=None, gt=0, le=1000)
    """Edge of a cubic periodic box (Å); without it, a pair has no cell."""

    @model_validator(mode='after')
    def _consistent(self) -> DimerConfig:
        unknown = [element for element in self.elements if not atomic_numbers.get(element)]
        if unknown:
            raise ValueError(f'"elements": {", ".join(map(repr, unknown))} is no chemical symbol')
        if len(set(self.elements)) < len(self.elements):
            raise ValueError('"elements" names an element twice')
        if self.shortest >= self.longest:
            raise ValueError(f'"shortest" ({self.shortest}) must be smaller than "longest" ({self.longest})')
        return self


@register('builder', 'dimer', DimerConfig)
def build_dimers(config: DimerConfig, rng: np.random.Generator) -> list[Structure]:
    """Two atoms at evenly spaced distances, for every pair of elements; provenance: ``pair``, ``distance`` (Å).

    Raises
    ------
    ValueError
        If the box is too small for the longest distance.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "dimer"
        elements = ["Cu", "Au"]
        n = 5
    """
    structures = []
    for pair in combinations_with_replacement(config.elements, 2):
        radii = sum(covalent_radii[atomic_numbers[element]] for element in pair)
        for distance in np.linspace(config.shortest, config.longest, config.n) * radii:
            atoms = Atoms(pair, [[0, 0, 0], [distance, 0, 0]])
            if config.box is not None:
                if config.box < 2 * distance:
                    raise ValueError(
                        f'"box" {config.box} Å is smaller than twice the distance {distance:.2f} Å of {pair}'
                    )
                atoms.set_cell([config.box] * 3)
                atoms.pbc = True
                atoms.center()
            facts = {'pair': '-'.join(pair), 'distance': round(float(distance), 6)}
            structures.append(Structure(atoms, {}, facts))
    return structures
