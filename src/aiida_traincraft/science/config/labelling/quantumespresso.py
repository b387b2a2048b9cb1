"""Section ``[labelling]`` with ``type = "quantumespresso"``: DFT labels by pw.x."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from aiida_traincraft.science.config.kinds import LabellerConfig
from aiida_traincraft.science.registry import register

# Keywords of pw.x that have a key of their own here, or that would make a label worthless, and what to do instead.
TAKEN = {
    'CONTROL': dict.fromkeys(
        ('calculation', 'restart_mode', 'tprnfor', 'tstress', 'outdir', 'prefix', 'pseudo_dir'),
        'is set for every label',
    )
    | {
        'max_seconds': 'follows from codes.pw.max_wallclock_seconds',
        'etot_conv_thr': 'follows from the number of atoms',
    },
    'SYSTEM': {
        'ecutwfc': 'use the key "ecutwfc"',
        'ecutrho': 'use the key "ecutrho"',
        'occupations': 'use the key "smearing"',
        'smearing': 'use the key "smearing"',
        'degauss': 'use the key "degauss"',
        'nspin': 'use the key "spin"',
        'starting_magnetization': 'use the key "magnetic_moments"',
        'tot_magnetization': 'use the key "magnetic_moments"',
        'nbnd': 'pw.x takes enough bands, and too few are found out',
        'tot_charge': 'labels are of neutral cells',
        'noncolin': 'labels are collinear',
        'lspinorb': 'labels are collinear',
    }
    | dict.fromkeys(
        ('ibrav', 'nat', 'ntyp', 'celldm', 'a', 'b', 'c', 'cosab', 'cosac', 'cosbc'), 'follows from the structure'
    ),
    'ELECTRONS': {
        'scf_must_converge': 'an unconverged calculation is no label',
        'conv_thr': 'use the key "conv_thr_per_atom"',
    },
}


@register('labeller', 'quantumespresso')
class QuantumEspressoLabelling(LabellerConfig):
    """DFT by pw.x of Quantum ESPRESSO, one calculation per structure or packed into batches."""

    aliases: ClassVar[tuple[str, ...]] = ('qe', 'pw', 'pwscf', 'espresso', 'quantum_espresso')
    properties: ClassVar[frozenset[str] | None] = frozenset({'energy', 'forces', 'stress'})
    seam: ClassVar[str | None] = 'qe'
    roles: ClassVar[tuple[str, ...]] = ('pw',)
    type: Literal['quantumespresso'] = 'quantumespresso'
    pseudo_family: str
    """Name of an installed family of pseudopotentials (``traincraft pseudos list``)."""
    functional: str | None = None
    """Functional that the pseudopotentials must have been made with (``"PBE"``, ``"PZ"``, ...); unchecked without."""
    protocol: Literal['fast', 'balanced', 'stringent'] = 'balanced'
    """Protocol of aiida-quantumespresso that gives what is left out below."""
    ecutwfc: float | None = Field(default=None, gt=0, le=1000)
    """Cutoff of the wave functions (Ry); without it, what the family recommends for the elements of the campaign."""
    ecutrho: float | None = Field(default=None, gt=0)
    """Cutoff of the density (Ry); goes with ``ecutwfc``."""
    kpoints_distance: float | None = Field(default=None, gt=0, le=10)
    """Largest distance between two k-points (1/Å), the same for every cell; ``protocol`` decides without it."""
    smearing: Literal['cold', 'gaussian', 'methfessel-paxton', 'fermi-dirac', 'none'] = 'cold'
    """Smearing of the occupations; "none" keeps them fixed, and a structure without a band gap then gets no label."""
    degauss: float | None = Field(default=None, gt=0)
    """Width of the smearing (Ry); ``protocol`` decides without it."""
    conv_thr_per_atom: float | None = Field(default=None, gt=0)
    """Estimated error of the energy per atom (Ry) at which a calculation is converged; ``protocol`` decides without."""
    spin: Literal['none', 'collinear'] = 'none'
    """Spin polarisation of all structures; isolated atoms are always polarised."""
    magnetic_moments: dict[str, float] = {}
    """Moments (Bohr magnetons per atom) by element that a collinear calculation starts from; required with it."""
    parameters: dict[str, dict[str, Any]] = {}
    """Further keywords of pw.x by namelist: ``{ ELECTRONS = { mixing_beta = 0.3 } }``."""
    parallelization: dict[Literal['npool', 'nband', 'ntg', 'ndiag'], Annotated[int, Field(ge=1)]] = {}
    """Command-line flags of pw.x."""
    max_iterations: int = Field(default=3, ge=1)
    """Runs of pw.x for one structure, what the error handlers start again included."""
    batch_size: int = Field(default=1, ge=1)
    """Structures per job; whatever fails in a batch gets a job of its own. Above 1 for many small structures."""
    concurrent: int = Field(default=1, ge=1)
    """pw.x side by side within a batch; each gets an equal part of the job's MPI processes."""
    batch_wallclock_seconds: int | None = Field(default=None, ge=1)
    """Time limit of a whole batch (s), as the queue allows; without it, that of all its structures together."""
    max_force: float = Field(default=100.0, gt=0)
    """Labels with a larger force (eV/Å) are refused."""
    max_pressure: float = Field(default=300.0, gt=0)
    """Labels with a larger absolute pressure (GPa) are refused."""
    atom_box: float = Field(default=9.0, ge=5)
    """Edge of the box around an isolated atom (Å); part of the level of theory."""

    @field_validator('parameters')
    @classmethod
    def _keywords(cls, parameters: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for namelist, keywords in parameters.items():
            if namelist not in TAKEN:
                raise ValueError(f'no namelist {namelist!r} (allowed: {", ".join(TAKEN)}, in capitals)')
            for keyword in keywords:
                if keyword != keyword.lower():
                    raise ValueError(f'write keyword {keyword!r} of {namelist} in lower case')
                name = keyword.partition('(')[0]
                advice = TAKEN[namelist].get(name)
                if name != keyword and advice is None:
                    # Species are counted in each structure anew: the same number would mean another element.
                    advice = f'write {name} = {{ ELEMENT = value }}'
                if advice is not None:
                    raise ValueError(f'keyword {namelist}.{keyword} cannot be set here: {advice}')
        return parameters

    @model_validator(mode='after')
    def _combination(self) -> QuantumEspressoLabelling:
        if (self.ecutwfc is None) != (self.ecutrho is None):
            raise ValueError('"ecutwfc" and "ecutrho" go together')
        if self.ecutwfc is not None and self.ecutrho is not None and self.ecutrho < 4 * self.ecutwfc:
            raise ValueError(f'"ecutrho" ({self.ecutrho} Ry) must be at least four times "ecutwfc" ({self.ecutwfc} Ry)')
        if self.smearing == 'none' and self.degauss is not None:
            raise ValueError('"degauss" has no meaning with smearing = "none"')
        if self.smearing == 'none' and self.spin == 'collinear':
            raise ValueError('spin = "collinear" needs a smearing: fixed occupations would fix the magnetisation too')
        if (self.spin == 'collinear') != any(self.magnetic_moments.values()):
            raise ValueError('spin = "collinear" and "magnetic_moments", one of them not zero, go together')
        if self.concurrent > self.batch_size:
            raise ValueError(f'"concurrent" ({self.concurrent}) is larger than "batch_size" ({self.batch_size})')
        return self
