"""Calculator ``fhi_aims``: all-electron DFT by FHI-aims, through ASE."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar, Literal

from ase import Atoms
from ase.calculators.aims import Aims, AimsProfile
from pydantic import Field, field_validator

from aiida_traincraft.science.calculators.program import Program, find_command, is_lone, k_grid, refuse_reserved
from aiida_traincraft.science.config.kinds import CalculatorConfig
from aiida_traincraft.science.registry import register

COMMAND_VARIABLE = 'TRAINCRAFT_AIMS_COMMAND'
RESERVED = ('xc', 'spin', 'relativistic', 'k_grid', 'kpts', 'species_dir', 'relax_geometry', 'output')


class FhiAimsConfig(CalculatorConfig):
    """All-electron DFT by FHI-aims."""

    aliases: ClassVar[tuple[str, ...]] = ('aims', 'fhi-aims')
    elements: ClassVar[frozenset[str] | None] = None
    properties: ClassVar[frozenset[str] | None] = frozenset({'energy', 'forces', 'stress', 'dipole'})
    periodic: ClassVar[frozenset[str] | None] = frozenset({'energy', 'forces', 'stress'})
    dimensions: ClassVar[frozenset[int]] = frozenset({0, 3})
    type: Literal['fhi_aims'] = 'fhi_aims'
    species_dir: str | None = None
    """Folder of the species defaults (such as ``.../defaults_2020/light``), on the machine that calculates; without,
    that of the environment variable AIMS_SPECIES_DIR."""
    xc: str = Field(default='pbe', pattern=r'^[A-Za-z0-9_-]+$')
    """Functional, as FHI-aims calls it."""
    spin: Literal['none', 'collinear'] = 'none'
    """Spin polarisation; atoms start from their initial magnetic moments (Bohr magnetons). An isolated atom is always
    polarised, with the moment of its ground level where it has none."""
    relativistic: str = 'atomic_zora scalar'
    """Treatment of relativity, as FHI-aims calls it."""
    kpoints_distance: float = Field(default=0.2, ge=0.005, le=10)
    """Largest distance between two k-points (1/Å, with the factor 2π); for crystals."""
    parameters: dict[str, Any] = {}
    """Further keywords of ``control.in``: ``{ sc_accuracy_rho = 1e-5 }``."""
    command: str | None = None
    """Command that runs FHI-aims; without, that of the environment variable TRAINCRAFT_AIMS_COMMAND, or ``aims.x``."""

    @field_validator('parameters')
    @classmethod
    def _free(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        refuse_reserved(parameters, RESERVED)
        return parameters


@register('calculator', 'fhi_aims', FhiAimsConfig)
def make_fhi_aims(config: FhiAimsConfig) -> Program:
    """All-electron DFT by FHI-aims.

    The stress (eV/Å³) is given for crystals, the dipole (e·Å) for molecules.

    Raises
    ------
    ValueError
        If there is no FHI-aims, or no folder of species defaults.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "molecule"
        name = "H2O"

        [calculator]
        type = "fhi_aims"
        species_dir = "/opt/FHIaims/species_defaults/defaults_2020/light"
        xc = "pbe"
        command = "mpirun -np 4 aims.x"
    """
    command = find_command(config.command, COMMAND_VARIABLE, 'aims.x', os.environ)
    species = config.species_dir or os.environ.get('AIMS_SPECIES_DIR')
    if species is None or not Path(species).expanduser().is_dir():
        raise ValueError(f'"species_dir": there is no folder {species!r}: give it, or set AIMS_SPECIES_DIR')
    folder = Path(species).expanduser().resolve()
    profile = AimsProfile(command=command, default_species_directory=str(folder))
    common = {'xc': config.xc, 'relativistic': config.relativistic, **config.parameters}

    def make(place: Path, atoms: Atoms) -> Any:
        if atoms.pbc.any() and not atoms.pbc.all():
            raise ValueError(f'FHI-aims cannot do pbc {atoms.pbc.tolist()}: all directions or none')
        grid = {'k_grid': k_grid(atoms, config.kpoints_distance)} if atoms.pbc.any() else {}
        spin = 'collinear' if is_lone(atoms) else config.spin
        return Aims(profile=profile, directory=place, spin=spin, **common, **grid)

    return Program('fhi_aims', make, lambda atoms: ['energy', 'forces', 'stress' if atoms.pbc.all() else 'dipole'])
