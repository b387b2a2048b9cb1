"""Labeller ``potential``: a stored potential."""

from __future__ import annotations

from typing import ClassVar, Literal

from aiida_traincraft.science.config.labelling.batched import BatchedLabelling
from aiida_traincraft.science.registry import register


@register('labeller', 'potential')
class PotentialLabelling(BatchedLabelling):
    """A stored potential as teacher; such labels are a level of theory of their own, marked as a surrogate."""

    aliases: ClassVar[tuple[str, ...]] = ('model', 'mlip')
    type: Literal['potential'] = 'potential'
    potential: str
    """UUID of the potential."""
