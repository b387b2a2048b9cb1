"""Labeller ``ase``: any registered ASE calculator."""

from __future__ import annotations

from typing import ClassVar, Literal

from aiida_traincraft.science.config.fields import CalculatorField
from aiida_traincraft.science.config.kinds import CalculatorConfig
from aiida_traincraft.science.config.labelling.batched import BatchedLabelling
from aiida_traincraft.science.registry import register


@register('labeller', 'ase')
class AseLabelling(BatchedLabelling):
    """Any registered ASE calculator as teacher, many structures per job."""

    aliases: ClassVar[tuple[str, ...]] = ('calculator',)
    roles: ClassVar[tuple[str, ...]] = ('ase',)
    type: Literal['ase'] = 'ase'
    calculator: CalculatorField
    """The teacher."""

    def teacher(self) -> CalculatorConfig:
        """The calculator."""
        return self.calculator
