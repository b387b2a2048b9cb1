"""Calculator ``tblite``: extended tight binding, a teacher for molecules that costs milliseconds."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from ase.data import chemical_symbols
from ase.units import Bohr
from pydantic import Field

from aiida_traincraft.science.config.kinds import CalculatorConfig
from aiida_traincraft.science.optional import require
from aiida_traincraft.science.registry import register

HEAVIEST = 86
FIELD = 1e-3
"""Electric field (atomic units) of the polarizability: the response is linear in it, and far above the convergence."""


class TbliteConfig(CalculatorConfig):
    """Extended tight binding (xTB) by tblite, for H to Rn.

    Only the Gamma point is sampled: the energy per atom of one crystal depends on the size of its cell (Si: 1 eV/atom
    between 8 and 32 atoms). For molecules, clusters, and liquids in cells of one size; not for crystals.
    """

    aliases: ClassVar[tuple[str, ...]] = ('xtb', 'gfn1-xtb', 'gfn2-xtb')
    elements: ClassVar[frozenset[str] | None] = frozenset(chemical_symbols[1 : HEAVIEST + 1])
    periodic: ClassVar[frozenset[str] | None] = frozenset({'energy', 'forces', 'stress'})
    dimensions: ClassVar[frozenset[int]] = frozenset({0, 3})
    gamma_only: ClassVar[bool] = True
    type: Literal['tblite'] = 'tblite'
    method: Literal['GFN1-xTB', 'GFN2-xTB'] = 'GFN2-xTB'
    """Hamiltonian; energies of the two do not compare."""
    charge: int = 0
    """Total charge (e) of every structure, isolated atoms included."""
    electronic_temperature: float = Field(default=300.0, gt=0, le=100_000)
    """Temperature of the electrons (K); the energy is the free energy that the forces derive from."""
    max_iterations: int = Field(default=250, ge=1)
    """Steps of the self-consistency; a structure that needs more gets no label."""
    accuracy: float = Field(default=1.0, gt=0)
    """Factor on tblite's thresholds (no unit): 0.01 is a hundred times tighter."""
    polarizability: bool = False
    """Whether to give the static polarizability (Å³) too, by six more calculations; without periodicity only."""

    def given_properties(self) -> frozenset[str]:
        """What it gives."""
        given = frozenset({'energy', 'forces', 'stress', 'dipole'})
        return given | {'polarizability'} if self.polarizability else given


@register('calculator', 'tblite', TbliteConfig)
def make_tblite(config: TbliteConfig) -> Any:
    """Extended tight binding (xTB) for molecules, clusters and liquids; Gamma point only.

    Every calculation starts from scratch, so that a label does not depend on what was calculated before. Unpaired
    electrons follow from a structure's initial magnetic moments, as few as possible without. The dipole (e·Å) is given
    without periodicity only; that of an ion refers to the origin of the coordinates. The polarizability (Å³) is the
    derivative of the dipole with respect to an electric field, by central differences. The calculator refuses
    (``ValueError``) a structure that is periodic in some directions only: tblite would take it as periodic in all.

    Raises
    ------
    MissingLibraryError
        If tblite is not installed.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "molecule"
        name = "H2O"

        [calculator]
        type = "tblite"
        method = "GFN2-xTB"
        accuracy = 0.1
    """
    require('tblite', 'calculator "tblite"')
    from tblite.ase import TBLite, _create_api_calculator
    from tblite.library import ffi

    extra = ['polarizability'] if config.polarizability else []

    class IndependentTBLite(TBLite):
        implemented_properties = [*TBLite.implemented_properties, 'free_energy', *extra]

        def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = ()) -> None:
            if atoms.pbc.any() and not atoms.pbc.all():
                raise ValueError(
                    f'tblite cannot do pbc {atoms.pbc.tolist()}: make the cell periodic in all directions or in none'
                )
            # ASE itself no longer resets a calculator between two structures.
            self.reset()
            super().calculate(atoms, properties, system_changes)
            self.results['free_energy'] = self.results['energy']
            if atoms.pbc.any():
                # The dipole of a periodic cell changes with the choice of the origin.
                del self.results['dipole']
            elif config.polarizability:
                response = [
                    (self._dipole(FIELD * axis) - self._dipole(-FIELD * axis)) / (2 * FIELD) for axis in np.eye(3)
                ]
                self.results['polarizability'] = (np.array(response) + np.transpose(response)) / 2 * Bohr**3

        def _dipole(self, field: Any) -> Any:
            """Dipole in an electric field, all in atomic units."""
            inner = _create_api_calculator(self.atoms, self.parameters)
            # Not by the parameter of TBLite: tblite 0.8 hands the library an array where it needs a pointer.
            inner.add('electric-field', ffi.new('double[3]', list(field)))
            return inner.singlepoint().get('dipole')

    return IndependentTBLite(
        method=config.method,
        charge=config.charge,
        electronic_temperature=config.electronic_temperature,
        max_iterations=config.max_iterations,
        accuracy=config.accuracy,
        cache_api=False,
        verbosity=0,
    )
