"""Validator ``eos``: energy against volume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from ase import Atoms, units
from ase.eos import EquationOfState
from pydantic import Field

from aiida_traincraft.science.atoms.symmetry import find_symmetry
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import Findings, Subject
from aiida_traincraft.science.validation.relaxing import CrystalValidator, CrystalValidatorConfig

SYMPREC = 1e-3
FIRST_CUBIC = 195
"""First number of the cubic space groups."""


class EosConfig(CrystalValidatorConfig):
    """Equation of state about the relaxed cell."""

    aliases: ClassVar[tuple[str, ...]] = ('equation_of_state', 'birch_murnaghan')
    quantities: ClassVar[dict[str, str]] = {
        'volume': 'Å³/atom',
        'lattice': 'Å',
        'bulk_modulus': 'GPa',
        'bulk_modulus_derivative': '',
        'energy': 'eV/atom',
    }
    # The cell is relaxed.
    needs: ClassVar[frozenset[str]] = frozenset({'energy', 'forces', 'stress'})
    type: Literal['eos'] = 'eos'
    range: float = Field(default=0.06, gt=0, le=0.5)
    """Largest change of the volume, both ways, as a fraction of the relaxed one."""
    n: int = Field(default=9, ge=5, le=101)
    """Volumes, evenly spaced."""
    equation: Literal['birchmurnaghan', 'murnaghan', 'birch', 'vinet', 'pouriertarantola'] = 'birchmurnaghan'
    """Equation that is fitted."""
    relax: bool = True
    """Whether atoms and shape of the cell relax at each volume."""


@register('validator', 'eos', EosConfig)
class Eos(CrystalValidator):
    """Equation of state of a crystal: volume, energy and bulk modulus at the minimum.

    By default the third-order Birch-Murnaghan equation, Eq. 3 of Hebbache and Zemzemi, Phys. Rev. B 70, 224107 (2004):
    E(V) = E0 + 9 B V0 / 16 (η² − 1)² (6 + B' (η² − 1) − 4 η²) with η = (V0 / V)^(1/3).

    ``lattice`` is the lattice constant of the conventional cell; cubic crystals only. ``energy`` depends on the zero of
    the energy; compare it with a reference only.

    Examples
    --------
    .. code-block:: toml

        [validator]
        type = "eos"
        geometry.builder = { type = "crystal", name = "Cu" }
        at_least = { bulk_modulus = 120.0 }
    """

    config: EosConfig

    def plan(self, subject: Subject) -> list[Structure]:
        """Cells of all volumes, each relaxed at its volume if asked."""
        crystal, frames = self.relaxed_crystal(subject), []
        for factor in np.linspace(1 - self.config.range, 1 + self.config.range, self.config.n):
            atoms = crystal.copy()
            atoms.set_cell(crystal.cell * factor ** (1 / 3), scale_atoms=True)
            if self.config.relax:
                self.relax(atoms, subject, 'volume')
            frames.append(Structure(atoms, {}, {'volume_factor': round(float(factor), 6)}))
        return frames

    def measure(self, frames: Sequence[Structure]) -> Findings:
        """Fit of the energies; no numbers if their minimum is outside the volumes."""
        volumes = np.array([frame.atoms.cell.volume / len(frame) for frame in frames])
        energies = np.array([frame.properties['energy'] / len(frame) for frame in frames])
        findings = Findings(dict.fromkeys(EosConfig.quantities))
        findings.curves['energies'] = {'volume (Å³/atom)': volumes.tolist(), 'energy (eV/atom)': energies.tolist()}
        if not 0 < energies.argmin() < len(energies) - 1:
            findings.notes.append('the energy has no minimum in the range of volumes: increase "range"')
            return findings
        fit = EquationOfState(volumes, energies, eos=self.config.equation)
        try:
            volume, energy, modulus = fit.fit(warn=False)
        except (RuntimeError, ValueError) as error:
            findings.notes.append(f'the equation of state cannot be fitted: {error}')
            return findings
        per_cell = _conventional_atoms(frames[len(frames) // 2].atoms)
        findings.values = {
            'volume': float(volume),
            'lattice': None if per_cell is None else float((volume * per_cell) ** (1 / 3)),
            'bulk_modulus': float(modulus / units.GPa),
            'bulk_modulus_derivative': float(fit.eos_parameters[2]),
            'energy': float(energy),
        }
        grid = np.linspace(volumes.min(), volumes.max(), 100)
        findings.curves['fit'] = {
            'volume (Å³/atom)': grid.tolist(),
            'energy (eV/atom)': np.asarray(fit.func(grid, *fit.eos_parameters)).tolist(),
        }
        return findings


def _conventional_atoms(atoms: Atoms) -> int | None:
    """Atoms in the conventional cell of a cubic crystal, None for another."""
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    found = find_symmetry('get_symmetry_dataset', cell, symprec=SYMPREC)
    return len(found.std_types) if found is not None and found.number >= FIRST_CUBIC else None
