"""Calculator ``espresso``: DFT by pw.x of Quantum ESPRESSO, through ASE."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar, Literal

from ase import Atoms
from ase.calculators.espresso import Espresso, EspressoProfile
from pydantic import Field, field_validator, model_validator

from aiida_traincraft.science.calculators.file_content import file_content
from aiida_traincraft.science.calculators.program import Program, find_command, is_lone, k_grid, refuse_reserved
from aiida_traincraft.science.config.kinds import CalculatorConfig
from aiida_traincraft.science.registry import register

COMMAND_VARIABLE = 'TRAINCRAFT_PW_COMMAND'
Namelist = Literal['CONTROL', 'SYSTEM', 'ELECTRONS']
RESERVED = (
    *('calculation', 'tprnfor', 'tstress', 'outdir', 'prefix', 'pseudo_dir', 'restart_mode', 'scf_must_converge'),
    *('ecutwfc', 'ecutrho', 'ibrav', 'nat', 'ntyp'),
)


class EspressoConfig(CalculatorConfig):
    """DFT by pw.x, one after the other in one job; labelling by ``quantumespresso`` has AiiDA's error handling."""

    aliases: ClassVar[tuple[str, ...]] = ('qe', 'pw', 'pwscf', 'quantumespresso', 'quantum_espresso')
    properties: ClassVar[frozenset[str] | None] = frozenset({'energy', 'forces', 'stress'})
    type: Literal['espresso'] = 'espresso'
    pseudo_dir: str
    """Folder of the pseudopotentials, on the machine that calculates."""
    pseudopotentials: dict[str, str] = Field(min_length=1)
    """File in ``pseudo_dir`` of each element."""
    ecutwfc: float = Field(gt=0, le=1000)
    """Cutoff of the wave functions (Ry)."""
    ecutrho: float | None = Field(default=None, gt=0)
    """Cutoff of the density (Ry); four times ``ecutwfc`` without."""
    kpoints_distance: float = Field(default=0.2, ge=0.005, le=10)
    """Largest distance between two k-points (1/Å, with the factor 2π)."""
    degauss: float | None = Field(default=None, gt=0)
    """Width of cold smearing (Ry); occupations are fixed without."""
    vacuum: float = Field(default=6.0, gt=0, le=1000)
    """Vacuum (Å) on both sides along directions that are not periodic: pw.x knows periodic cells only."""
    parameters: dict[Namelist, dict[str, Any]] = {}
    """Further keywords of pw.x by namelist: ``{ ELECTRONS = { mixing_beta = 0.3 } }``."""
    command: str | None = None
    """Command that runs pw.x; without, that of the environment variable TRAINCRAFT_PW_COMMAND, else ``pw.x``."""

    @field_validator('pseudopotentials')
    @classmethod
    def _names(cls, files: dict[str, str]) -> dict[str, str]:
        for element, name in files.items():
            if Path(name).name != name:
                raise ValueError(f'{element}: {name!r} is no file name; the folder is "pseudo_dir"')
        return files

    @field_validator('parameters')
    @classmethod
    def _free(cls, parameters: dict[Namelist, dict[str, Any]]) -> dict[Namelist, dict[str, Any]]:
        refuse_reserved([key for keywords in parameters.values() for key in keywords], RESERVED)
        return parameters

    @model_validator(mode='after')
    def _cutoffs(self) -> EspressoConfig:
        if self.ecutrho is not None and self.ecutrho < 4 * self.ecutwfc:
            raise ValueError(f'"ecutrho" ({self.ecutrho} Ry) must be at least four times "ecutwfc" ({self.ecutwfc} Ry)')
        return self

    def known_elements(self) -> frozenset[str]:
        """Elements that have a pseudopotential."""
        return frozenset(self.pseudopotentials)

    def level_table(self) -> dict[str, Any]:
        """The table with the content of the pseudopotentials."""
        files = {element: Path(self.pseudo_dir) / name for element, name in self.pseudopotentials.items()}
        table = self.model_dump(mode='json', exclude={'pseudo_dir'})
        return table | {'pseudopotentials': {element: file_content(path) for element, path in files.items()}}


@register('calculator', 'espresso', EspressoConfig)
def make_espresso(config: EspressoConfig) -> Program:
    """DFT by pw.x of Quantum ESPRESSO; the stress (eV/Å³) of cells that are periodic in all directions only.

    Initial magnetic moments (Bohr magnetons) of the atoms make a calculation spin-polarised. An isolated atom without
    one has the moment of its ground level, held fixed.

    Raises
    ------
    ValueError
        If there is no pw.x, or a pseudopotential is not there.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "crystal"
        name = "Si"

        [calculator]
        type = "espresso"
        pseudo_dir = "/usr/share/espresso/pseudo"
        pseudopotentials = { Si = "Si.pz-vbc.UPF" }
        ecutwfc = 30.0
        kpoints_distance = 0.3
    """
    command = find_command(config.command, COMMAND_VARIABLE, 'pw.x', os.environ)
    folder = Path(config.pseudo_dir).expanduser().resolve()
    for element, name in config.pseudopotentials.items():
        if not (folder / name).is_file():
            raise ValueError(f'"pseudopotentials": the file {name!r} of {element} is not in "pseudo_dir" ({folder})')
    profile = EspressoProfile(command=command, pseudo_dir=folder)

    def make(place: Path, atoms: Atoms) -> Any:
        return Espresso(
            profile=profile,
            directory=place,
            pseudopotentials=config.pseudopotentials,
            kpts=k_grid(atoms, config.kpoints_distance) if atoms.pbc.any() else None,
            input_data=_namelists(config, atoms),
        )

    def properties(atoms: Atoms) -> list[str]:
        return ['energy', 'forces', *(['stress'] if atoms.pbc.all() else [])]

    return Program('espresso', make, properties, config.vacuum)


def _namelists(config: EspressoConfig, atoms: Atoms) -> dict[str, dict[str, Any]]:
    content: dict[str, dict[str, Any]] = {
        'CONTROL': {'calculation': 'scf', 'tprnfor': True, 'tstress': True, 'outdir': 'out', 'disk_io': 'nowf'},
        'SYSTEM': {'ecutwfc': config.ecutwfc, 'ecutrho': config.ecutrho or 4 * config.ecutwfc},
        'ELECTRONS': {},
    }
    if config.degauss is not None:
        content['SYSTEM'] |= {'occupations': 'smearing', 'smearing': 'cold', 'degauss': config.degauss}
    moment = float(atoms.get_initial_magnetic_moments().sum())
    if is_lone(atoms) and moment:
        # Held: smeared or not, the levels of an atom are degenerate.
        content['SYSTEM']['tot_magnetization'] = moment
    for namelist, keywords in config.parameters.items():
        content[namelist] |= keywords
    return content
