"""Molecule of springs, point charges and bond polarizabilities: its spectra are known exactly."""

import numpy as np
from ase.calculators.calculator import Calculator, all_changes


class Springs(Calculator):
    """Springs of one stiffness (eV/Å²) between all pairs of atoms.

    The dipole is that of ``charges`` (e), times ``scale``; each pair adds its extension times ``along`` (Å²) to the
    polarizability along itself and times ``across`` to the other directions.
    """

    implemented_properties = ('energy', 'forces', 'dipole', 'polarizability')

    def __init__(self, lengths, charges, stiffness=30.0, scale=1.0, along=1.0, across=0.2):
        super().__init__()
        self.lengths, self.charges, self.stiffness, self.scale = lengths, np.array(charges), stiffness, scale
        self.along, self.across = along, across

    def calculate(self, atoms=None, properties=(), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        positions = self.atoms.positions
        energy, forces, tensor = 0.0, np.zeros_like(positions), np.eye(3)
        for (i, j), length in self.lengths.items():
            vector = positions[j] - positions[i]
            unit, extension = vector / np.linalg.norm(vector), np.linalg.norm(vector) - length
            energy += self.stiffness * extension**2 / 2
            forces[i] += self.stiffness * extension * unit
            forces[j] -= self.stiffness * extension * unit
            parallel = np.outer(unit, unit)
            tensor = tensor + extension * (self.along * parallel + self.across * (np.eye(3) - parallel))
        self.results = {
            'energy': energy,
            'forces': forces,
            'dipole': self.scale * self.charges @ positions,
            'polarizability': self.scale * tensor,
        }


class ForcesOnly(Springs):
    """The same as a potential without dipoles."""

    implemented_properties = ('energy', 'forces')
