"""Validator ``vacancy``: formation energy of a vacancy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

from ase import Atoms
from pydantic import Field, model_validator

from aiida_traincraft.science.geometry.defects import Element
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import Findings, Subject
from aiida_traincraft.science.validation.relaxing import CrystalValidator, SupercellValidatorConfig, repetitions


class VacancyEnergyConfig(SupercellValidatorConfig):
    """Formation energy of a neutral vacancy in a supercell of the relaxed crystal."""

    quantities: ClassVar[dict[str, str]] = {'formation_energy': 'eV'}
    # The cell is relaxed.
    needs: ClassVar[frozenset[str]] = frozenset({'energy', 'forces', 'stress'})
    type: Literal['vacancy'] = 'vacancy'
    element: Element | None = None
    """Element of which the first atom of the start is taken out, in place of ``index``."""
    index: int = Field(default=0, ge=0)
    """Atom of the start that is taken out, from 0."""
    chemical_potential: float | None = None
    """Energy of an atom of the removed element in its reservoir (eV), in the potential's own zero of the energy; by
    default that in the crystal, which a crystal of several elements does not have."""
    relax: bool = True
    """Whether the atoms around the vacancy relax; the supercell stays that of the crystal."""

    @model_validator(mode='after')
    def _one_atom(self) -> VacancyEnergyConfig:
        if self.element is not None and self.index:
            raise ValueError('give only one of "element" and "index"')
        return self


@register('validator', 'vacancy', VacancyEnergyConfig)
class Vacancy(CrystalValidator):
    """Formation energy of a vacancy, E(N − 1) − E(N) + μ (Freysoldt et al., Rev. Mod. Phys. 86, 253 (2014)).

    The chemical potential μ is E(N) / N in a crystal of one element. Both energies are those of the same supercell.

    Examples
    --------
    .. code-block:: toml

        [validator]
        type = "vacancy"
        geometry.builder = { type = "crystal", name = "Cu", cubic = true }
        target_length = 7.0
        at_least = { formation_energy = 0.5 }
    """

    config: VacancyEnergyConfig

    def check_start(self, start: Structure) -> None:
        """Raise ValueError if there is no such atom, no chemical potential, or the supercell is too large."""
        super().check_start(start)
        config = self.config
        if config.element is not None and config.element not in start.elements:
            raise ValueError(f'"element": there is no {config.element} in {start.formula}')
        if config.index >= len(start):
            raise ValueError(f'"index" {config.index} is none of the {len(start)} atoms of {start.formula} (from 0)')
        if config.chemical_potential is None and len(start.elements) > 1:
            raise ValueError(f'"chemical_potential" is needed: {start.formula} has several elements')
        if len(start) * math.prod(repetitions(start.atoms, config)) < 2:
            raise ValueError('"repeat" leaves a single atom: nothing would be left beside the vacancy')

    def plan(self, subject: Subject) -> list[Structure]:
        """Supercells of the relaxed crystal, perfect and with the vacancy."""
        crystal = self.relaxed_crystal(subject)
        perfect = crystal.repeat(repetitions(crystal, self.config))
        defective: Atoms = perfect.copy()
        removed = self.config.index
        if self.config.element is not None:
            removed = crystal.get_chemical_symbols().index(self.config.element)
        del defective[removed]
        if self.config.relax:
            self.relax(defective, subject, 'fixed')
        return [
            Structure(perfect, {}, {'vacancies': 0}),
            Structure(defective, {}, {'vacancies': 1}),
        ]

    def measure(self, frames: Sequence[Structure]) -> Findings:
        """Formation energy."""
        perfect, defective = frames
        energy = perfect.properties['energy']
        potential = self.config.chemical_potential
        if potential is None:
            potential = energy / len(perfect)
        return Findings({'formation_energy': float(defective.properties['energy'] - energy + potential)})
