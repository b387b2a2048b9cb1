"""A user's own validator, in a file of theirs."""

from __future__ import annotations

from typing import ClassVar, Literal

from aiida_traincraft.science.config.validation import StructureValidatorConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import BrokenError, Findings, Validator


class StretchedConfig(StructureValidatorConfig):
    """Energy that a stretched cell costs."""

    quantities: ClassVar[dict[str, str]] = {'cost': 'eV/atom', 'lowest': 'eV/atom'}
    type: Literal['stretched'] = 'stretched'
    factor: float = 1.02
    explodes: bool = False


@register('validator', 'stretched', StretchedConfig)
class Stretched(Validator):
    """Energy that a stretched cell costs."""

    def check_start(self, start):
        if not start.atoms.pbc.all():
            raise ValueError('"geometry" has no cell to stretch')

    def plan(self, subject):
        if self.config.explodes:
            raise BrokenError('the cell exploded')
        frames = []
        for factor in (1.0, self.config.factor):
            atoms = subject.start.atoms.copy()
            atoms.set_cell(atoms.cell * factor, scale_atoms=True)
            frames.append(Structure(atoms, {}, {'factor': factor}))
        return frames

    def measure(self, frames):
        assert [frame.provenance['factor'] for frame in frames] == [1.0, self.config.factor]
        energies = [frame.properties['energy'] / len(frame) for frame in frames]
        curve = {'factor': [1.0, self.config.factor], 'energy (eV/atom)': energies}
        return Findings({'cost': energies[1] - energies[0], 'lowest': min(energies)}, {'stretch': curve})
