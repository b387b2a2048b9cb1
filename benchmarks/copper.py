"""Copper frames labelled with EMT: the data of the benchmarks."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT

from aiida_traincraft.science.structure import Structure

LATTICE_CONSTANT = 3.6


def isolated_energy() -> float:
    """EMT energy (eV) of one copper atom alone."""
    return float(Atoms('Cu', calculator=EMT()).get_potential_energy())


def copper_frames(
    count: int, seed: int, small: bool = False, stdev: float = 0.1, strain: float = 0.03
) -> list[Structure]:
    """Rattled and strained cells of 4, 8, 31 (with a vacancy) and 16 atoms (a slab) in turn, with their labels.

    Parameters
    ----------
    count
        Number of frames.
    seed
        Of the displacements and strains.
    small
        A vacancy cell of 7 atoms and a slab of 8 in place of the larger ones.
    stdev
        Standard deviation (Å) of each coordinate's displacement.
    strain
        Each of the nine components of the deformation is uniform in [-strain, strain].
    """
    rng = np.random.default_rng(seed)
    cell = bulk('Cu', 'fcc', a=LATTICE_CONSTANT, cubic=True)
    vacancy = cell.repeat((2, 1, 1) if small else 2)
    del vacancy[0]
    slab = fcc111('Cu', (2, 1 if small else 2, 4), a=LATTICE_CONSTANT, vacuum=6.0, periodic=True)
    prototypes = [cell, cell.repeat((2, 1, 1)), vacancy, slab]
    frames = []
    for index in range(count):
        atoms = prototypes[index % len(prototypes)].copy()
        deformation = np.eye(3) + rng.uniform(-strain, strain, (3, 3))
        atoms.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
        atoms.positions += rng.normal(scale=stdev, size=atoms.positions.shape)
        # What fcc111 notes of its adsorption sites is no part of a frame.
        atoms = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc, calculator=EMT())
        properties = {
            'energy': atoms.get_potential_energy(),
            'forces': atoms.get_forces(),
            'stress': atoms.get_stress(),
        }
        atoms.calc = None
        facts = {'system': atoms.get_chemical_formula(), 'level_of_theory': 'e' * 40, 'index': index}
        frames.append(Structure(atoms, properties, facts))
    return frames
