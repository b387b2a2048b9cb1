"""Exchange of molecules with a reservoir: insertion and deletion in the grand canonical ensemble."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms, units
from pydantic import Field
from scipy.spatial.transform import Rotation

from aiida_traincraft.science.atoms.fragments import append, get_fragments, molecules
from aiida_traincraft.science.atoms.sizes import LARGEST_STRUCTURE, check_size
from aiida_traincraft.science.geometry.species import Species, make_species
from aiida_traincraft.science.sampling.moves import Indices
from aiida_traincraft.science.sampling.recording import BrokenError

BAR = 1e5 * units.Pascal
ROOM = 10.0
"""Vacuum on each side of the isolated molecule (Å)."""


class Reservoir(Species):
    """An ideal gas of rigid molecules with which the system exchanges them."""

    fugacity: float = Field(gt=0)
    """Fugacity (bar): the pressure of the ideal gas that the system is in equilibrium with."""
    max_molecules: int = Field(ge=1, le=LARGEST_STRUCTURE)
    """Most molecules of the species in the cell."""


class Exchange:
    """The molecules of the species: which ones there are, and what it weighs to add or remove one.

    Parameters
    ----------
    atoms
        The start; molecules (fragments) of the composition of the species are taken for molecules of it.
    reservoir
        The species and its fugacity.
    temperature
        Temperature (K).
    rng
        Source of the conformer of a SMILES, which all inserted molecules share.

    Raises
    ------
    ValueError
        If the cell has no volume, the species is not one molecule, there are too many molecules at the start, or one
        of them lies outside of the cell.
    """

    def __init__(self, atoms: Atoms, reservoir: Reservoir, temperature: float, rng: np.random.Generator) -> None:
        if atoms.cell.rank < 3:
            raise ValueError('"moves" has exchange, but the cell has no volume: give the geometry three cell vectors')
        try:
            self.guest = make_species(reservoir, rng)
        except ValueError as error:
            raise ValueError(f'"reservoir": {error}') from None
        if (get_fragments(self.guest) != 0).any():
            raise ValueError(f'"reservoir": "smiles" {reservoir.smiles!r} is more than one molecule')
        fragments = get_fragments(atoms)
        composition = np.sort(self.guest.numbers).tolist()
        self.members = [
            number
            for number in np.unique(fragments[fragments >= 0]).tolist()
            if np.sort(atoms.numbers[fragments == number]).tolist() == composition
        ]
        self.limit = reservoir.max_molecules
        if len(self.members) > self.limit:
            raise ValueError(f'"max_molecules" is {self.limit}, but the start has {len(self.members)} of the molecules')
        check_size(len(atoms) + (self.limit - len(self.members)) * len(self.guest), '"max_molecules"')
        if not self.inside(atoms):
            raise ValueError('"moves" has exchange, but the start has molecules of the species outside of the cell')
        self.kt = units.kB * temperature
        self.log_activity = float(np.log(reservoir.fugacity) + np.log(BAR / self.kt))
        self.energy: float | None = None

    def isolated_energy(self, calculator: Any) -> float:
        """Energy (eV) of the molecule by itself without periodicity, calculated once."""
        if self.energy is None:
            single = self.guest.copy()
            single.center(vacuum=ROOM)
            single.calc = calculator
            self.energy = float(single.get_potential_energy())
            if not np.isfinite(self.energy):
                raise BrokenError('the energy of the isolated molecule is not finite')
        return self.energy

    def insert(self, state: Atoms, calculator: Any, rng: np.random.Generator) -> float | None:
        """Add a molecule, in place; logarithm of what the Boltzmann factor is multiplied with, None if there is none.

        Its centre of mass is uniform in the cell, its orientation is uniform.
        """
        count = len(self.members)
        if count >= self.limit:
            return None
        guest = self.guest.copy()
        turn = Rotation.from_quat(rng.normal(size=4))
        guest.positions = turn.apply(guest.positions - guest.get_center_of_mass()) + rng.random(3) @ state.cell.array
        append(state, guest)
        bias = self.log_activity + np.log(state.get_volume()) - np.log(count + 1)
        return float(bias + self.isolated_energy(calculator) / self.kt)

    def delete(self, state: Atoms, calculator: Any, rng: np.random.Generator) -> float | None:
        """Remove a random molecule, in place; logarithm as of ``insert``, None if the last atoms would go."""
        count = len(self.members)
        if count == 0:
            return None
        gone = get_fragments(state) == self.members[int(rng.integers(count))]
        if gone.all():
            return None
        del state[gone]
        bias = self.log_activity + np.log(state.get_volume()) - np.log(count)
        return float(-bias - self.isolated_energy(calculator) / self.kt)

    def accept(self, before: Atoms, after: Atoms) -> Indices:
        """Follow an accepted insertion or deletion; new index of each old atom (n_atoms,), −1 where it is gone."""
        old, new = get_fragments(before), get_fragments(after)
        if len(after) > len(before):
            self.members.append(int(new[-1]))
            return np.arange(len(before))
        self.members = [number for number in self.members if (new == number).any()]
        kept = np.isin(old, new)
        return np.where(kept, np.cumsum(kept) - 1, -1)

    def exchanged(self, atoms: Atoms) -> Indices:
        """Indices of the atoms that belong to molecules of the species."""
        return np.flatnonzero(np.isin(get_fragments(atoms), self.members))

    def inside(self, atoms: Atoms) -> bool:
        """Whether all molecules of the species have their centres in the cell, along directions without periodicity."""
        if atoms.pbc.all():
            return True
        exchanged = atoms[self.exchanged(atoms)]
        centres = [exchanged[one].get_center_of_mass() for one in molecules(exchanged)]
        scaled = atoms.cell.scaled_positions(np.reshape(centres, (-1, 3)))[:, ~atoms.pbc]
        return bool(((scaled >= 0) & (scaled < 1)).all())
