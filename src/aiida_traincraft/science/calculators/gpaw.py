"""Calculator ``gpaw``: DFT by GPAW."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from pydantic import Field, field_validator

from aiida_traincraft.science.calculators.program import boxed, grounded, k_grid, refuse_reserved
from aiida_traincraft.science.config.kinds import CalculatorConfig
from aiida_traincraft.science.optional import require
from aiida_traincraft.science.registry import register

RESERVED = ('mode', 'xc', 'kpts', 'txt')


class GpawConfig(CalculatorConfig):
    """DFT by GPAW with plane waves."""

    elements: ClassVar[frozenset[str] | None] = None
    properties: ClassVar[frozenset[str] | None] = frozenset({'energy', 'forces', 'stress'})
    type: Literal['gpaw'] = 'gpaw'
    ecut: float = Field(default=500.0, ge=10, le=10_000)
    """Cutoff of the plane waves (eV)."""
    xc: str = 'PBE'
    """Functional, as GPAW calls it."""
    kpoints_distance: float = Field(default=0.2, ge=0.005, le=10)
    """Largest distance between two k-points (1/Å, with the factor 2π)."""
    smearing: float | None = Field(default=None, gt=0)
    """Width of Fermi-Dirac smearing (eV); GPAW's own without."""
    vacuum: float = Field(default=6.0, gt=0, le=1000)
    """Vacuum (Å) on both sides along directions that are not periodic: plane waves know periodic cells only."""
    parameters: dict[str, Any] = {}
    """Further arguments of ``gpaw.GPAW``: ``{ convergence = { energy = 1e-6 } }``."""

    @field_validator('parameters')
    @classmethod
    def _free(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        refuse_reserved(parameters, RESERVED)
        return parameters


@register('calculator', 'gpaw', GpawConfig)
def make_gpaw(config: GpawConfig) -> Any:
    """DFT by GPAW with plane waves; the stress (eV/Å³) of cells that are periodic in all directions only.

    An isolated atom without a magnetic moment starts from that of its ground level (Bohr magnetons).

    Raises
    ------
    MissingLibraryError
        If GPAW is not installed.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "crystal"
        name = "Si"

        [calculator]
        type = "gpaw"
        ecut = 250.0
        xc = "LDA"
        kpoints_distance = 0.4
    """
    gpaw = require('gpaw', 'calculator "gpaw"')
    smearing = {} if config.smearing is None else {'occupations': {'name': 'fermi-dirac', 'width': config.smearing}}

    class Gpaw(Calculator):  # type: ignore[misc]
        """GPAW, from scratch for each structure: a label does not depend on the one before."""

        implemented_properties: ClassVar[list[str]] = ['energy', 'free_energy', 'forces', 'stress']

        def calculate(
            self, atoms: Atoms | None = None, properties: Any = None, system_changes: list[str] = all_changes
        ) -> None:
            super().calculate(atoms, properties or ['energy'], system_changes)
            copy = boxed(grounded(self.atoms), config.vacuum)
            copy.calc = gpaw.GPAW(
                mode={'name': 'pw', 'ecut': config.ecut},
                xc=config.xc,
                kpts=k_grid(self.atoms, config.kpoints_distance),
                txt=None,
                **(smearing | config.parameters),
            )
            self.results = {
                'energy': copy.get_potential_energy(force_consistent=True),
                'forces': copy.get_forces(),
            }
            self.results['free_energy'] = self.results['energy']
            if self.atoms.pbc.all():
                self.results['stress'] = copy.get_stress()

    return Gpaw()
