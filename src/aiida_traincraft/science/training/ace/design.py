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
        environment = self._compute(ready, compute_b_grad=True)
        energy = self._atom_rows(ready).mean(axis=0)
        if not energy.any() and any(len(near) for near in environment.neighbour_list):
            raise RuntimeError(f'pyace gave no projections for {atoms.get_chemical_formula()}, which has neighbours')
        forces = np.asarray(self._calculator.forces_bfuncs, float)
        return DesignRows(
            energy=energy,
            forces=forces.transpose(0, 2, 1).reshape(3 * len(atoms), -1),
            stress=self._stress_rows(ready, environment) if stress else None,
        )

    def atom_rows(self, atoms: Atoms) -> FloatArray:
        """Rows (n_atoms, n) of the energies of atoms: times the coefficients gives eV.

        Raises
        ------
        ValueError
            If the structure cannot be evaluated (see :func:`prepare_atoms`).
        """
        check_species(atoms, self.elements)
        ready = prepare_atoms(atoms, self.basis.cutoffmax)
        self._compute(ready)
        return self._atom_rows(ready)

    def projections(self, atoms: Atoms) -> dict[str, FloatArray]:
        """B-basis projections of the atoms of each element of the basis, (n_element_atoms, n_functions).

        Raises
        ------
        ValueError
            If the structure cannot be evaluated (see :func:`prepare_atoms`).
        """
        rows, symbols = self.atom_rows(atoms), np.array(atoms.get_chemical_symbols())
        ends = np.cumsum(list(self.counts.values()))
        blocks = zip(self.counts, np.split(rows, ends[:-1], axis=1), strict=True)
        return {element: block[symbols == element] for element, block in blocks}

    def _compute(self, ready: Atoms, **kinds: bool) -> Any:
        environment = self._environment(
            ready, cutoff=self.basis.cutoffmax, elements_mapper_dict=self.basis.elements_to_index_map
        )
        self._calculator.compute(environment, compute_projections=True, **kinds)
        return environment

    def _atom_rows(self, atoms: Atoms) -> FloatArray:
        """Projections of each atom, in the columns of its element."""
        starts = dict(zip(self.elements, np.cumsum([0, *self.counts.values()]), strict=False))
        rows = np.zeros((len(atoms), sum(self.counts.values())))
        for row, symbol, values in zip(rows, atoms.symbols, self._calculator.projections, strict=True):
            row[starts[symbol] : starts[symbol] + self.counts[symbol]] = values
        return rows

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
                energies.append(self._atom_rows(atoms).mean(axis=0))
            rows.append((energies[0] - energies[1]) / (2 * STRAIN))
        environment.x = positions
        return np.asarray(np.array(rows) * len(atoms) / atoms.get_volume(), dtype=float)
