"""What a structure measures: cell, density, shortest distance."""

from __future__ import annotations

from dataclasses import dataclass

from aiida_traincraft.science.atoms.distances import shortest_distance
from aiida_traincraft.science.datasets.health import DENSITY_UNIT
from aiida_traincraft.science.structure import Structure


@dataclass(frozen=True)
class Measures:
    """Figures of one structure."""

    formula: str
    """Chemical formula in Hill order."""
    n_atoms: int
    """Number of atoms."""
    lengths: tuple[float, ...]
    """Lengths of the cell vectors (Å), 0 where there is none."""
    density: float | None
    """Density (g/cm³); None unless periodic in three directions."""
    min_distance: float | None
    """Shortest distance between two atoms (Å), periodic images included; None for an isolated atom."""

    @property
    def cell_text(self) -> str:
        """Lengths of the cell vectors (Å) for a table; a dash where there is none."""
        if not any(self.lengths):
            return '-'
        return ' × '.join(f'{length:.2f}' if length else '-' for length in self.lengths)


def measure(structure: Structure) -> Measures:
    """Measure a structure."""
    atoms = structure.atoms
    density = atoms.get_masses().sum() / atoms.get_volume() * DENSITY_UNIT if atoms.pbc.all() else None
    lengths = tuple(float(length) for length in atoms.cell.lengths())
    density = None if density is None else float(density)
    return Measures(structure.formula, len(atoms), lengths, density, shortest_distance(atoms))
