"""Relaxed starting crystals, and supercells of them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from ase import Atoms
from ase.filters import FrechetCellFilter
from ase.geometry import cell_to_cellpar
from ase.optimize import BFGS
from pydantic import Field

from aiida_traincraft.science.atoms.sizes import check_size
from aiida_traincraft.science.config.validation import StructureValidatorConfig
from aiida_traincraft.science.geometry.builders.crystal import Count
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import BrokenError, Subject, Validator

LARGEST_CHANGE = 3.0
"""Factor of the volume beyond which a cell is taken to explode or to collapse."""


class CrystalValidatorConfig(StructureValidatorConfig):
    """What validators share that relax a crystal, its cell included, first."""

    fmax: float = Field(default=0.001, ge=1e-8, le=10)
    """A relaxation ends when the force on every atom (eV/Å) and the stress times the volume per atom (eV) are below
    this."""
    steps: int = Field(default=500, ge=1, le=100_000)
    """Largest number of steps of a relaxation."""


class SupercellValidatorConfig(CrystalValidatorConfig):
    """What validators share that need a supercell."""

    repeat: tuple[Count, Count, Count] | None = None
    """Repetitions of the start along its cell vectors, in place of ``target_length``."""
    target_length: float = Field(default=10.0, gt=0)
    """Smallest width of the supercell between opposite faces (Å)."""


class CrystalValidator(Validator):
    """Base of validators that start from a crystal."""

    config: CrystalValidatorConfig

    def check_start(self, start: Structure) -> None:
        """Raise ValueError unless the start is periodic in all directions."""
        if not start.atoms.pbc.all():
            raise ValueError(
                f'"geometry": validator {self.config.type!r} starts from a crystal, and {start.formula} is not '
                'periodic in all directions'
            )

    def relaxed_crystal(self, subject: Subject) -> Atoms:
        """Start with atoms and cell relaxed."""
        assert subject.start is not None
        atoms: Atoms = subject.start.atoms.copy()
        if np.linalg.det(atoms.cell.array) < 0:
            # The same lattice, right-handed: the opposite of each vector, in the same order.
            atoms.set_cell(-atoms.cell.array)
        self.relax(atoms, subject, 'free')
        lengths = ' '.join(f'{value:.4f}' for value in cell_to_cellpar(atoms.cell)[:3])
        subject.report(f'{self.config.label}: the relaxed cell has the lengths {lengths} Å')
        return atoms

    def relax(self, atoms: Atoms, subject: Subject, cell: Literal['free', 'volume', 'fixed']) -> None:
        """Relax atoms in place, with the cell free, at constant volume, or fixed; see :func:`relax`."""
        relax(atoms, subject.calculator, self.config.fmax, self.config.steps, cell)


def relax(
    atoms: Atoms, calculator: Any, fmax: float, steps: int, cell: Literal['free', 'volume', 'fixed'] = 'fixed'
) -> None:
    """Relax atoms in place by BFGS; constraints and the calculator are taken off.

    Parameters
    ----------
    atoms
        Periodic in all directions unless the cell is fixed.
    calculator
        ASE calculator with stress unless the cell is fixed.
    fmax
        Largest force left (eV/Å).
    steps
        Largest number of steps.
    cell
        Whether all of the cell relaxes, its shape at constant volume, or nothing of it.

    Raises
    ------
    BrokenError
        If it does not converge, positions are not finite, or the volume changes by more than a factor of 3.
    """
    atoms.set_constraint()
    atoms.calc = calculator
    volume = abs(atoms.cell.volume)
    target = atoms if cell == 'fixed' else FrechetCellFilter(atoms, constant_volume=cell == 'volume')

    def watch() -> None:
        if not np.isfinite(atoms.positions).all():
            raise BrokenError('positions are not finite in the relaxation')
        # A collapsed cell fills the memory with neighbours.
        if cell == 'free' and not volume / LARGEST_CHANGE < atoms.cell.volume < volume * LARGEST_CHANGE:
            raise BrokenError(f'the volume changes from {volume:.1f} to {atoms.cell.volume:.3g} Å³ as it relaxes')

    optimizer = BFGS(target, logfile=None)
    optimizer.attach(watch)
    try:
        converged = optimizer.run(fmax=fmax, steps=steps)
    finally:
        atoms.calc = None
    if not converged:
        raise BrokenError(f'{atoms.get_chemical_formula()} does not relax to {fmax} eV/Å in {steps} steps')


def repetitions(atoms: Atoms, config: SupercellValidatorConfig) -> tuple[int, int, int]:
    """Repetitions of a cell that a config asks for.

    Raises
    ------
    ValueError
        If the supercell would have too many atoms.
    """
    widths = 1 / np.linalg.norm(atoms.cell.reciprocal(), axis=1)
    # A width that relaxed to a hair less than the length asked for is no reason for another row.
    counts = config.repeat or tuple(np.ceil(config.target_length / widths - 1e-3).clip(1).tolist())
    check_size(len(atoms) * float(np.prod(counts, dtype=float)), '"repeat"' if config.repeat else '"target_length"')
    first, second, third = (int(count) for count in counts)
    return first, second, third
