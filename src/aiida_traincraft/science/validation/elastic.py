"""Validator ``elastic``: elastic constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from ase import Atoms, units
from ase.stress import voigt_6_to_full_3x3_stress
from pydantic import Field
from scipy.linalg import sqrtm

from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import Findings, Subject
from aiida_traincraft.science.validation.relaxing import CrystalValidator, CrystalValidatorConfig

CONSTANTS = ('c11', 'c22', 'c33', 'c12', 'c13', 'c23', 'c44', 'c55', 'c66')
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


class ElasticConfig(CrystalValidatorConfig):
    """Elastic constants of the relaxed crystal."""

    quantities: ClassVar[dict[str, str]] = {
        **dict.fromkeys(CONSTANTS, 'GPa'),
        'bulk_modulus': 'GPa',
        'shear_modulus': 'GPa',
        'born_eigenvalue': 'GPa',
    }
    needs: ClassVar[frozenset[str]] = frozenset({'energy', 'forces', 'stress'})
    type: Literal['elastic'] = 'elastic'
    strain: float = Field(default=0.005, gt=0, le=0.05)
    """Largest component of the Green-Lagrange strains."""
    relax_ions: bool = True
    """Whether the atoms relax in each strained cell; else the clamped-ion constants are found."""


@register('validator', 'elastic', ElasticConfig)
class Elastic(CrystalValidator):
    """Elastic constants from the stresses of strained cells, σ = C ε, and the Born stability that follows from them.

    Each of the six strain components takes the values −s, −s/2, s/2 and s; C is a linear fit (de Jong et al.,
    Sci. Data 2, 150009 (2015)). The axes are those of the given structure: z is not turned onto a symmetry axis.
    ``bulk_modulus`` and ``shear_modulus`` are Voigt-Reuss-Hill averages. ``born_eigenvalue`` is the smallest eigenvalue
    of the matrix: the crystal is stable under small strains if it is positive (Mouhat and Coudert, Phys. Rev. B 90,
    224104 (2014)).

    Examples
    --------
    .. code-block:: toml

        [validator]
        type = "elastic"
        geometry.builder = { type = "crystal", name = "Cu", cubic = true }
        at_least = { born_eigenvalue = 1.0 }
    """

    config: ElasticConfig

    def plan(self, subject: Subject) -> list[Structure]:
        """Strained cells."""
        crystal, frames = self.relaxed_crystal(subject), []
        for component in range(6):
            for part in (-1.0, -0.5, 0.5, 1.0):
                strain = part * self.config.strain
                atoms = _strained(crystal, component, strain)
                if self.config.relax_ions:
                    self.relax(atoms, subject, 'fixed')
                frames.append(Structure(atoms, {}, {'component': component, 'strain': strain}))
        return frames

    def measure(self, frames: Sequence[Structure]) -> Findings:
        """Linear fit of stresses to strains."""
        tensor = _fit(frames)
        matrix = np.array(tensor.voigt)
        lowest = float(np.linalg.eigvalsh(matrix)[0])
        values: dict[str, float | None] = {
            name: float(matrix[int(name[1]) - 1, int(name[2]) - 1]) for name in CONSTANTS
        }
        values['bulk_modulus'] = float(tensor.k_vrh)
        values['shear_modulus'] = float(tensor.g_vrh)
        values['born_eigenvalue'] = lowest
        columns = {f'c{i + 1} (GPa)': matrix[:, i].tolist() for i in range(6)}
        curve = {'row': ['xx', 'yy', 'zz', 'yz', 'xz', 'xy']} | columns
        notes = [] if lowest > 0 else ['not Born stable: a strain lowers the energy']
        return Findings(values, {'matrix': curve}, notes)


def _strained(crystal: Atoms, component: int, strain: float) -> Atoms:
    """Cell under a Green-Lagrange strain E of one component: F = (1 + 2E)^(1/2)."""
    tensor = np.zeros((3, 3))
    row, column = VOIGT[component]
    tensor[row, column] = tensor[column, row] = strain
    atoms: Atoms = crystal.copy()
    atoms.set_cell(crystal.cell.array @ np.real(sqrtm(np.eye(3) + 2 * tensor)), scale_atoms=True)
    return atoms


def _fit(frames: Sequence[Structure]) -> Any:
    """Symmetric ``ElasticTensor`` (GPa)."""
    # Imported here: it takes seconds.
    from pymatgen.analysis.elasticity.elastic import ElasticTensor
    from pymatgen.analysis.elasticity.strain import Strain
    from pymatgen.analysis.elasticity.stress import Stress

    strains, stresses = [], []
    for frame in frames:
        strain = np.zeros(6)
        # Voigt's shear strains are twice those of the tensor.
        component = frame.provenance['component']
        strain[component] = frame.provenance['strain'] * (2 if component > 2 else 1)
        strains.append(Strain.from_voigt(strain))
        stresses.append(Stress(voigt_6_to_full_3x3_stress(frame.properties['stress'] / units.GPa)))
    # Strains come in pairs of both signs, so the mean is the stress without strain.
    unstrained = Stress(np.mean(stresses, axis=0))
    return ElasticTensor.from_independent_strains(strains, stresses, eq_stress=unstrained).voigt_symmetrized
