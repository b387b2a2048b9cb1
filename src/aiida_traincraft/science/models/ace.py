"""ACE as an ASE calculator: isolated-atom energies, extrapolation grades, and the cells that pyace refuses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.models.ace_check import check_pair, read_active_set
from aiida_traincraft.science.models.ace_file import load_basis, n_functions, open_basis, probe_cluster
from aiida_traincraft.science.models.cells import check_species, prepare_atoms
from aiida_traincraft.science.models.pyace_import import import_pyace

PROBE_TOLERANCE = 1e-6
"""Of energies (eV/atom), absolute and relative: the two evaluators of pyace agree to 1e-9."""


class PaceCalculator(Calculator):  # type: ignore[misc]
    """ACE through pyace, on the absolute scale of energies.

    Parameters
    ----------
    potential
        B-basis potential (``.yaml``).
    e0
        Energy of the isolated atom (eV) of every element of the potential; their sum is added to the energy.
    active_set
        Active set (``.asi``) of the potential; needed for extrapolation grades.
    fast
        The same potential as ``.yace``; evaluates where no extrapolation grade is asked for.

    Raises
    ------
    ValueError
        If a file is absent or damaged, files do not belong together, or an element has no E0.

    Notes
    -----
    With ``with_uncertainty`` set, results hold the extrapolation grades γ (n_atoms,) as ``gamma`` and
    ``uncertainty``. An atom with no neighbour within the cutoff has γ = inf: all its projections are zero, so the
    formula γ = max|B·A⁻¹| (Podryabinkin and Shapeev, Comput. Mater. Sci. 140, 171 (2017)) would call it perfectly
    known. ``stress`` (eV/Å³, ASE's sign) is given for three periodic directions, and for others if the cell has a
    volume to refer it to.
    """

    implemented_properties: ClassVar[list[str]] = ['energy', 'free_energy', 'energies', 'forces', 'stress']

    def __init__(
        self,
        potential: Path,
        e0: Mapping[str, float],
        active_set: Path | None = None,
        fast: Path | None = None,
    ) -> None:
        super().__init__()
        pyace = import_pyace()
        # Reading them takes longest: each file once.
        own_e0 = [] if fast is None else check_pair(potential, fast)
        basis = load_basis(potential) if fast is None else open_basis(potential)
        self.counts = n_functions(basis)
        self.cutoff: float = basis.cutoffmax
        missing = sorted(set(self.counts) - set(e0))
        if missing:
            raise ValueError(f'no isolated-atom energy (e0, eV) is given for {", ".join(missing)}')
        self.e0 = {element: float(e0[element]) for element in self.counts}
        # With an active set pyace fails as soon as projections are switched off: two evaluators.
        self._full, self._graded = pyace.PyACECalculator(basis), None
        self._inverse = None
        if active_set is not None:
            self._inverse = self._load_active_set(active_set)
            self._graded = pyace.PyACECalculator(basis)
            # What was checked, not the file: pyace crashes on a damaged one.
            self._graded.set_active_set([self._inverse[element] for element in self.elements])
        self._plain, self._plain_e0 = self._full, dict.fromkeys(self.counts, 0.0)
        if fast is not None:
            try:
                self._plain = pyace.PyACECalculator(str(fast), recursive_evaluator=True, recursive=True)
            except Exception as error:
                raise ValueError(f'potential {fast.name} cannot be read: {error}') from error
            if list(self._plain.basis.elements_name) != self.elements:
                raise ValueError(f'{fast.name} and {potential.name} are of different elements')
            self._plain_e0 |= dict(zip(self.elements, own_e0, strict=bool(own_e0)))
            self._check_same(fast.name, potential.name)
        self._with_uncertainty = False

    @property
    def elements(self) -> list[str]:
        """Elements of the potential, alphabetical."""
        return list(self.counts)

    @property
    def uncertainty(self) -> str | None:
        """``gamma`` with an active set, else None."""
        return None if self._inverse is None else 'gamma'

    @property
    def with_uncertainty(self) -> bool:
        """Whether the next evaluation writes extrapolation grades; they need an active set."""
        return self._with_uncertainty

    @with_uncertainty.setter
    def with_uncertainty(self, value: bool) -> None:
        if value:
            self._require_active_set()
            if 'uncertainty' not in self.results:
                self.reset()
        self._with_uncertainty = value

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Evaluate all properties of the atoms.

        Raises
        ------
        ValueError
            If the atoms are of unknown elements or cannot be evaluated (see :func:`prepare_atoms`).
        """
        super().calculate(atoms, properties or ['energy'], system_changes)
        engine, own_e0 = self._plain, self._plain_e0
        if self._with_uncertainty:
            engine, own_e0 = self._graded, dict.fromkeys(self.elements, 0.0)
        ready = self._evaluate(self.atoms, engine, projections=self._with_uncertainty)
        shift = np.array([self.e0[symbol] - own_e0[symbol] for symbol in ready.get_chemical_symbols()])
        energies = np.asarray(engine.results['energies'], float) + shift
        energy = float(energies.sum())
        self.results = {
            'energy': energy,
            'free_energy': energy,
            'energies': energies,
            'forces': np.asarray(engine.results['forces'], float),
        }
        if self.atoms.cell.rank == 3 and 'stress' in engine.results:
            rescale = ready.get_volume() / self.atoms.get_volume()
            self.results['stress'] = np.asarray(engine.results['stress'], float) * rescale
        if self._with_uncertainty:
            self.results['gamma'] = self.results['uncertainty'] = self._gamma()

    def gamma(self, atoms: Atoms) -> FloatArray:
        """Extrapolation grade of each atom, (n_atoms,); inf for an atom without neighbours."""
        self._require_active_set()
        self._evaluate(atoms, self._graded, projections=True)
        return self._gamma()

    def projections(self, atoms: Atoms) -> dict[str, FloatArray]:
        """B-basis projections of the atoms of each element of the potential, (n_element_atoms, n_functions)."""
        ready = self._evaluate(atoms, self._full, projections=True)
        symbols = np.array(ready.get_chemical_symbols())
        rows = self._full.projections
        return {
            element: np.array([rows[atom] for atom in np.flatnonzero(symbols == element)]).reshape(-1, count)
            for element, count in self.counts.items()
        }

    def descriptor(self, atoms: Atoms) -> FloatArray:
        """Structure vector: for each element of the potential, the mean projections of its atoms (zeros if absent)."""
        means = [
            rows.mean(axis=0) if len(rows) else np.zeros(rows.shape[1]) for rows in self.projections(atoms).values()
        ]
        return np.asarray(np.concatenate(means), dtype=float)

    def active_coordinates(self, atoms: Atoms) -> dict[str, FloatArray]:
        """Rows B·A⁻¹ of the atoms of each element present, (n_element_atoms, n_functions); γ is their max-norm."""
        inverse = self._require_active_set()
        return {element: rows @ inverse[element] for element, rows in self.projections(atoms).items() if len(rows)}

    def _check_same(self, fast: str, potential: str) -> None:
        """Hold the two forms of the potential against each other: one that lost functions can be read all the same."""
        atoms = probe_cluster(self.elements, self.cutoff)
        own_e0 = [self._plain_e0[symbol] for symbol in atoms.get_chemical_symbols()]
        found, expected = np.zeros(len(atoms)), np.zeros(len(atoms))
        for engine, energies, shift in ((self._plain, found, own_e0), (self._full, expected, 0.0)):
            self._evaluate(atoms, engine, projections=False)
            energies += np.asarray(engine.results['energies'], float) - shift
        if not np.allclose(found, expected, rtol=PROBE_TOLERANCE, atol=PROBE_TOLERANCE):
            raise ValueError(
                f'{fast} is damaged, or not the same potential as {potential}: {found.sum():.6g} eV in place of '
                f'{expected.sum():.6g} eV for a cluster of {len(atoms)} atoms'
            )

    def _evaluate(self, atoms: Atoms, engine: Any, projections: bool) -> Atoms:
        check_species(atoms, self.elements)
        ready = prepare_atoms(atoms, self.cutoff)
        engine.compute_projections = projections
        engine.calculate(ready)
        return ready

    def _gamma(self) -> FloatArray:
        assert self._graded is not None
        isolated = np.array([not np.any(row) for row in self._graded.projections])
        return np.where(isolated, np.inf, np.asarray(self._graded.results['gamma'], float))

    def _require_active_set(self) -> dict[str, FloatArray]:
        if self._inverse is None:
            raise ValueError('extrapolation grades need an active set: give the potential\'s .asi as "active_set"')
        return self._inverse

    def _load_active_set(self, path: Path) -> dict[str, FloatArray]:
        inverse = read_active_set(path)
        expected = {element: (count, count) for element, count in self.counts.items()}
        found = {element: matrix.shape for element, matrix in inverse.items()}
        if found != expected:
            raise ValueError(
                f'active set {path.name} belongs to another potential: it has {found}, expected {expected}'
            )
        return inverse
