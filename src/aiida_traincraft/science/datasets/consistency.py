"""Whether the energies of a file follow from its forces and stresses: units and signs, by the data alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from ase.geometry import find_mic
from ase.units import Bohr, GPa, Hartree, Rydberg, kcal, kJ, mol, nm

from aiida_traincraft.science.structure import Structure

LARGEST_STEP = 0.3
LARGEST_STRAIN = 0.05
FEWEST_PAIRS = 5
WELL_FITTED = 0.8
CERTAIN = 0.95
"""Share of the energies' squares that a fit explains before a factor that nobody knows is told."""
SMALL_PART = 0.01
NAMED_WITHIN = 0.13
"""Largest logarithm of a factor over that of a known unit: steps are finite."""
FORCE_DEVIATION = 1.25
STRESS_DEVIATION = 2.0
"""Factors up to which, or down to whose inverse, smearing or a small basis may be the reason."""
FORCE_FACTORS = {
    -1.0: 'the forces have the wrong sign (gradients, perhaps)',
    Hartree / Bohr: 'the forces seem to be in hartree/bohr',
    Rydberg / Bohr: 'the forces seem to be in rydberg/bohr',
    Hartree: 'the forces seem to be in hartree/Å',
    Rydberg: 'the forces seem to be in rydberg/Å',
    1 / Hartree: 'the energy seems to be in hartree',
    1 / Rydberg: 'the energy seems to be in rydberg',
    1 / Bohr: 'the forces seem to be per bohr (eV/bohr, or energy and forces in atomic units)',
    kcal / mol: 'the forces seem to be in kcal/mol/Å',
    mol / kcal: 'the energy seems to be in kcal/mol',
    kJ / mol: 'the forces seem to be in kJ/mol/Å',
    kJ / mol / nm: 'the forces seem to be in kJ/mol/nm',
    mol / kJ: 'the energy seems to be in kJ/mol',
    1e-3: 'the forces seem to be in meV/Å',
    1e3: 'the energy seems to be in meV',
}
STRESS_FACTORS = {
    sign * factor: f'the stress seems to be in {unit}{told}'
    for sign, told in ((1, ''), (-1, ', with the wrong sign'))
    for factor, unit in (
        (GPa, 'GPa'),
        (GPa / 10, 'kbar'),
        (Hartree / Bohr**3, 'hartree/bohr³'),
        (Rydberg / Bohr**3, 'rydberg/bohr³'),
        (1e-3, 'meV/Å³'),
    )
} | {-1.0: 'the stress has the wrong sign: ours is positive under tension'}
FAR_OFF = 5.0
"""The same where the fit explains less."""
SHEAR_ORDERS = {
    'xx yy zz xy yz xz (VASP)': [0, 1, 2, 4, 5, 3],
    'xx yy zz xy xz yz (LAMMPS)': [0, 1, 2, 5, 4, 3],
}
"""Places in another order of what stands at xx, yy, zz, yz, xz, xy in ours."""
BETTER_ORDER = 4.0
"""Factor by which another order of the shear stresses must leave less of the energies unexplained."""


@dataclass
class Consistency:
    """Whether energies follow from forces and stress: ΔE = −F·Δx + V σ:ε between neighbouring frames of a trajectory.

    Trapezoidal rule over consecutive frames of the same atoms that lie near each other; the two factors that make both
    sides equal are fitted. Right units and signs give 1 for both.
    """

    previous: Structure | None = None
    pairs: list[tuple[float, float, tuple[float, ...], int]] = field(default_factory=list)
    """Change of energy, work of the forces, work of the stress in our order and in each of the others (eV); atoms."""

    def add(self, structure: Structure) -> None:
        """Take the next frame of the file."""
        previous, self.previous = self.previous, structure
        if previous is None or len(previous) != len(structure):
            return
        before, after = previous.atoms, structure.atoms
        if (before.numbers != after.numbers).any() or (before.pbc != after.pbc).any():
            return
        cell, strained = before.cell.array, np.zeros((3, 3))
        moved = before.positions
        if not np.array_equal(cell, after.cell.array):
            if not (before.pbc.all() and 'stress' in previous.properties and 'stress' in structure.properties):
                return
            deformation = np.linalg.solve(cell, after.cell.array)
            strained = (deformation + deformation.T) / 2 - np.eye(3)
            if np.abs(strained).max() > LARGEST_STRAIN:
                return
            moved = moved @ deformation
        step = after.positions - moved
        if np.abs(step).max() > LARGEST_STEP:
            step, _ = find_mic(step, after.cell, after.pbc)
            if np.abs(step).max() > LARGEST_STEP:
                return
        forces = (previous.properties['forces'] + structure.properties['forces']) / 2
        energy = structure.properties['energy'] - previous.properties['energy']
        by_stress = (0.0,) * (1 + len(SHEAR_ORDERS))
        if strained.any():
            voigt = (previous.properties['stress'] + structure.properties['stress']) / 2
            strain = strained.ravel()[[0, 4, 8, 5, 2, 1]] * [1, 1, 1, 2, 2, 2]
            volume = (before.cell.volume + after.cell.volume) / 2
            orders = (voigt, *(voigt[order] for order in SHEAR_ORDERS.values()))
            by_stress = tuple(float(each @ strain) * volume for each in orders)
        self.pairs.append((energy, float(-(forces * step).sum()), by_stress, len(structure)))

    def verdicts(self) -> list[str]:
        """What is wrong with the units or signs, one sentence each; empty if all is well or nothing could be tested."""
        energy = np.array([pair[0] for pair in self.pairs])
        by_forces = np.array([pair[1] for pair in self.pairs])
        by_stress = np.array([pair[2] for pair in self.pairs]).reshape(len(self.pairs), 1 + len(SHEAR_ORDERS))
        sizes = np.array([pair[3] for pair in self.pairs])
        work = np.column_stack([by_forces, by_stress[:, 0]])
        used = [column for column in (0, 1) if work[:, column].any()]
        if len(energy) < FEWEST_PAIRS or not used:
            return []
        where = f'along {len(energy)} pairs of neighbouring frames'
        if not energy.any():
            return [f'{where} the energies do not change, although forces or stress do work']
        ours = _Fit.of(work[:, used], energy)
        for column, name in enumerate(SHEAR_ORDERS, 1) if 1 in used else ():
            other = _Fit.of(np.column_stack([by_forces, by_stress[:, column]])[:, used], energy)
            if other.explained > CERTAIN and (1 - ours.explained) > BETTER_ORDER * (1 - other.explained):
                return [f'{where} the energies follow from stresses in the order {name}; ours is xx yy zz yz xz xy']
        whole = _Fit.of(work[:, used], energy * sizes)
        better = whole.explained > max(CERTAIN, ours.explained - 1e-6) and sizes.min() > 1
        if better and all(abs(whole.factors - 1) < 0.1) and not all(abs(ours.factors - 1) < 0.1):
            return [f'{where} the energies are those of one atom: they must be those of the whole frame']
        if ours.explained < WELL_FITTED:
            return []
        found = [
            _judge(ours, index, 'forces' if column == 0 else 'stress')
            for index, column in enumerate(used)
            # What explains next to nothing of the energies is not tested by them.
            if ours.shares[index] > SMALL_PART
        ]
        return [f'{where} {text}' for text in found if text]


@dataclass(frozen=True)
class _Fit:
    """Factors between works and energies, by least squares."""

    factors: npt.NDArray[np.float64]
    shares: npt.NDArray[np.float64]
    """Square of each part, of that of the energies."""
    explained: float
    """Share of the energies' squares."""

    @classmethod
    def of(cls, work: npt.NDArray[np.float64], energy: npt.NDArray[np.float64]) -> _Fit:
        factors = np.asarray(np.linalg.lstsq(work, energy, rcond=None)[0], np.float64)
        parts, total = work * factors, energy @ energy
        rest = energy - parts.sum(axis=1)
        return cls(factors, (parts**2).sum(axis=0) / total, float(1 - rest @ rest / total))


def _judge(fit: _Fit, index: int, what: str) -> str:
    """Meaning of a fitted factor; empty where it is that of right units, or where the fit cannot tell."""
    factor = float(fit.factors[index])
    known, deviation = (FORCE_FACTORS, FORCE_DEVIATION) if what == 'forces' else (STRESS_FACTORS, STRESS_DEVIATION)
    near = {value: abs(math.log(factor / value)) for value in known if factor / value > 0}
    if meant := sorted((value for value in near if near[value] < NAMED_WITHIN), key=lambda value: near[value]):
        return f'{", or ".join(known[value] for value in meant)} (factor {factor:.3g})'
    size = abs(math.log(factor)) if factor > 0 else math.inf
    if size < math.log(deviation if fit.explained > CERTAIN else FAR_OFF):
        return ''
    return f'the energies change by {factor:.3g} times the work of the {what}: a unit of one of both is another'
