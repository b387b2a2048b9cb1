"""Validator ``surface``: surface energy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from ase import Atoms, units
from pydantic import Field

from aiida_traincraft.science.geometry.cuts import Miller, find_cut
from aiida_traincraft.science.geometry.terminations import set_vacuum
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import BrokenError, Findings, Subject
from aiida_traincraft.science.validation.relaxing import CrystalValidator, CrystalValidatorConfig

JOULE_PER_SQUARE_METRE = units.J / units.m**2
"""In eV/Å²."""


class SurfaceEnergyConfig(CrystalValidatorConfig):
    """Surface energy of a cut through the relaxed crystal."""

    quantities: ClassVar[dict[str, str]] = {'surface_energy': 'J/m²'}
    # The cell is relaxed.
    needs: ClassVar[frozenset[str]] = frozenset({'energy', 'forces', 'stress'})
    type: Literal['surface'] = 'surface'
    miller: Miller
    """Miller indices in the conventional cell, as spglib standardises it."""
    thickness: float = Field(default=12.0, gt=0, le=1000)
    """Smallest thickness of the slab (Å)."""
    vacuum: float = Field(default=8.0, gt=0, le=1000)
    """Vacuum on each side (Å)."""
    relax: bool = True
    """Whether the atoms of the slab relax; its cell stays that of the crystal."""


@register('validator', 'surface', SurfaceEnergyConfig)
class Surface(CrystalValidator):
    """Surface energy of a slab of equivalent sides, γ = (E_slab − N E_crystal) / 2A.

    E_crystal is the energy per formula unit times the slab's N of them (Fiorentini and Methfessel, J. Phys. Condens.
    Matter 8, 6525 (1996), Eq. 1), so the slab has the composition of the crystal. Of several terminations, the one of
    the lowest energy counts. The slab is periodic along its normal too.

    Examples
    --------
    .. code-block:: toml

        [validator]
        type = "surface"
        geometry.builder = { type = "crystal", name = "Cu" }
        miller = [1, 1, 1]
        thickness = 8.0
        at_least = { surface_energy = 0.5 }
    """

    config: SurfaceEnergyConfig

    def check_start(self, start: Structure) -> None:
        """Raise ValueError if no slab has equivalent sides and the composition of the crystal, or it is too large."""
        super().check_start(start)
        if not self._cut(start.atoms):
            raise ValueError(
                f'"miller": no slab {list(self.config.miller)} of {start.formula} has both equivalent sides and the '
                'composition of the crystal, so it has no surface energy of its own'
            )

    def plan(self, subject: Subject) -> list[Structure]:
        """Relaxed crystal, and a slab for each termination."""
        crystal = self.relaxed_crystal(subject)
        frames, slabs = [Structure(crystal, {}, {'part': 'crystal'})], self._cut(crystal)
        if not slabs:
            raise BrokenError('the symmetry changes as the crystal relaxes: no slab has equivalent sides any more')
        for number, slab in enumerate(slabs):
            if self.config.relax:
                self.relax(slab, subject, 'fixed')
            frames.append(Structure(slab, {}, {'part': 'slab', 'termination': number}))
            subject.report(f'{self.config.label}: termination {number + 1} of {len(slabs)} is ready')
        return frames

    def measure(self, frames: Sequence[Structure]) -> Findings:
        """Energies of all terminations."""
        crystal, slabs = frames[0], frames[1:]
        per_atom = crystal.properties['energy'] / len(crystal)
        energies = []
        for slab in slabs:
            area = np.linalg.norm(np.cross(slab.atoms.cell[0], slab.atoms.cell[1]))
            excess = slab.properties['energy'] - len(slab) * per_atom
            energies.append(float(excess / (2 * area) / JOULE_PER_SQUARE_METRE))
        curve = {
            'termination': list(range(1, len(slabs) + 1)),
            'outermost element': [slab.atoms[int(slab.atoms.positions[:, 2].argmax())].symbol for slab in slabs],
            'atoms': [len(slab) for slab in slabs],
            'surface energy (J/m²)': energies,
        }
        return Findings({'surface_energy': min(energies)}, {'terminations': curve})

    def _cut(self, crystal: Atoms) -> list[Atoms]:
        """Slabs of the primitive cell, one for each termination; none if it has no equivalent sides."""
        cut = find_cut(crystal, self.config.miller)
        layers = math.ceil(self.config.thickness / cut.spacing - 1e-6)
        slabs = [set_vacuum(slab, self.config.vacuum) for slab in cut.slabs(layers, symmetric=True, key='thickness')]
        for slab in slabs:
            slab.pbc = True
        return [slab for slab in slabs if _same_composition(slab, crystal)]


def _same_composition(one: Atoms, other: Atoms) -> bool:
    counts = [np.bincount(atoms.numbers, minlength=120) for atoms in (one, other)]
    return bool((counts[0] * len(other) == counts[1] * len(one)).all())
