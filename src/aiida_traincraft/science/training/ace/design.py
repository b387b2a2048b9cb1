"""Rows of the linear ACE problem: energies, forces and stresses of one structure per unit coefficient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.models.ace_file import n_functions
from aiida_traincraft.science.models.cells import check_species, prepare_atoms
from aiida_traincraft.science.models.pyace_import import import_pyace

STRAIN = 1e-4
"""Half-width of the central differences in strain; the rows agree with the evaluator's stress to 1e-8 eV/Å³."""
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@dataclass(frozen=True)
class DesignRows:
    """Derivatives of a structure's energies by the coefficients of a linear potential of ``n`` functions.

    Attributes
    ----------
    energy
        (n,), per atom: times the coefficients gives eV/atom.
    forces
        (3 n_atoms, n), atom by atom: times the coefficients gives eV/Å.
    stress
        (6, n) in Voigt order, or None: times the coefficients gives eV/Å³.
    """

    energy: FloatArray
    forces: FloatArray
    stress: FloatArray | None


class RowBuilder:
    """Builds design rows, one structure after the other, for a basis (pyace's ``ACEBBasisSet``).

    Columns: elements alphabetical; of each, the functions in the order of the basis, which is the order of
    ``basis_coeffs``.
    """

    def __init__(self, basis: Any) -> None:
        pyace = import_pyace()
        self.basis = basis
        self.elements: list[str] = list(basis.elements_name)
        self.counts = n_functions(basis)
        self._environment = pyace.aseatoms_to_atomicenvironment
        # The calculator holds no reference of its own to the evaluator.
        self._evaluator = pyace.ACEBEvaluator(basis)
        self._calculator = pyace.ACECalculator(self._evaluator)

    def rows(self, atoms: Atoms, stress: bool = False) -> DesignRows:
        """Rows of one structure; ``stress`` needs three periodic directions.

        Raises
        ------
        ValueError
            If the structure cannot be evaluated (see :func:`prepare_atoms`).
        RuntimeError
            If atoms that have neighbours give no projections.
        """
        check_species(atoms, self.elements)
        ready = prepare_atoms(atoms, self.basis.cutoffmax)
        environment = self._environment(
            ready, cutoff=self.basis.cutoffmax, elements_mapper_dict=self.basis.elements_to_index_map
        )
        self._calculator.compute(environment, compute_projections=True, compute_b_grad=True)
        energy = self._energy_row(ready)
        if not energy.any() and any(len(near) for near in environment.neighbour_list):
            raise RuntimeError(f'pyace gave no projections for {atoms.get_chemical_formula()}, which has neighbours')
        forces = np.asarray(self._calculator.forces_bfuncs, float)
        return DesignRows(
            energy=energy,
            forces=forces.transpose(0, 2, 1).reshape(3 * len(atoms), -1),
            stress=self._stress_rows(ready, environment) if stress else None,
        )

    def projections(self, atoms: Atoms) -> dict[str, FloatArray]:
        """B-basis projections of the atoms of each element of the basis, (n_element_atoms, n_functions).

        Raises
        ------
        ValueError
            If the structure cannot be evaluated (see :func:`prepare_atoms`).
        """
        check_species(atoms, self.elements)
        ready = prepare_atoms(atoms, self.basis.cutoffmax)
        environment = self._environment(
            ready, cutoff=self.basis.cutoffmax, elements_mapper_dict=self.basis.elements_to_index_map
        )
        self._calculator.compute(environment, compute_projections=True)
        symbols, rows = np.array(ready.get_chemical_symbols()), self._calculator.projections
        return {
            element: np.array([rows[atom] for atom in np.flatnonzero(symbols == element)], float).reshape(-1, count)
            for element, count in self.counts.items()
        }

    def _energy_row(self, atoms: Atoms) -> FloatArray:
        """Mean over all atoms of the projections, each in its element's columns."""
        symbols = np.array(atoms.get_chemical_symbols())
        projections = self._calculator.projections
        blocks = []
        for element in self.elements:
            chosen = np.flatnonzero(symbols == element)
            block = np.zeros(self.counts[element])
            if len(chosen):
                block = np.sum([projections[atom] for atom in chosen], axis=0)
            blocks.append(block)
        return np.asarray(np.concatenate(blocks) / len(atoms), dtype=float)

    def _stress_rows(self, atoms: Atoms, environment: Any) -> FloatArray:
        """Central differences of the energy row in each strain: σ = (1/V) ∂E/∂ε.

        Straining the environment keeps its neighbour list, which is safe since all functions vanish at the cutoff.
        """
        positions = np.asarray(environment.x, float)
        rows = []
        for first, second in VOIGT:
            energies = []
            for sign in (1, -1):
                strain = np.zeros((3, 3))
                strain[first, second] += sign * STRAIN / 2
                strain[second, first] += sign * STRAIN / 2
                environment.x = positions + positions @ strain
                self._calculator.compute(environment, compute_projections=True)
                energies.append(self._energy_row(atoms))
            rows.append((energies[0] - energies[1]) / (2 * STRAIN))
        environment.x = positions
        return np.asarray(np.array(rows) * len(atoms) / atoms.get_volume(), dtype=float)
