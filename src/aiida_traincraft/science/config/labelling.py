"""Section ``[labelling]``: who gives energies and forces."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from aiida_traincraft.science.config.base import CalculatorField, PluginConfig
from aiida_traincraft.science.registry import register


class LabellingConfig(PluginConfig):
    """What every labeller has."""

    roles: ClassVar[tuple[str, ...]] = ()
    """Codes of ``[codes]`` that it needs."""
    seam: ClassVar[str]
    """Its WorkChain is ``traincraft.label.<seam>``."""

    max_failed_fraction: float = Field(default=0.1, ge=0, le=1)
    """Fraction of the structures selected together whose labels may fail before the campaign stops."""
    min_distance: float = Field(default=0.5, ge=0)
    """Structures with two atoms closer than this fraction of the sum of their covalent radii are refused."""


@register('labeller', 'ase')
class AseLabelling(LabellingConfig):
    """Any registered ASE calculator as teacher, many structures per job."""

    seam = 'ase'
    roles = ('ase',)
    type: Literal['ase'] = 'ase'
    calculator: CalculatorField
    """The teacher."""
    batch_size: int = Field(default=200, ge=1)
    """Structures per job."""


@register('labeller', 'potential')
class PotentialLabelling(LabellingConfig):
    """A stored potential as teacher; such labels are a level of theory of their own, marked as a surrogate."""

    seam = 'potential'
    type: Literal['potential'] = 'potential'
    potential: str
    """UUID of the potential."""
    batch_size: int = Field(default=200, ge=1)
    """Structures per job."""
