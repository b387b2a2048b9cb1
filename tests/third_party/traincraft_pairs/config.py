"""Sections of a campaign, and the calculator of the potential: jobs import this too, so it does without AiiDA."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

from ase.calculators.morse import MorsePotential
from ase.data import atomic_numbers, vdw_radii
from pydantic import Field

from aiida_traincraft import CalculatorConfig, ExplorerConfig, LabellerConfig, TrainerConfig, register

REACH = 1.7
"""Pairs farther apart than this, in distances of the minimum, do not see each other."""


def radius(element: str) -> float:
    """Van der Waals radius (Å)."""
    return float(vdw_radii[atomic_numbers[element]])


def smallest_radius(elements: Iterable[str]) -> float:
    """Smallest van der Waals radius (Å) of some elements."""
    return min(radius(element) for element in elements)


@register('labeller', 'pairs')
class PairsLabelling(LabellerConfig):
    """Lennard-Jones pairs of one element, without a job."""

    properties: ClassVar[frozenset[str] | None] = frozenset({'energy', 'forces', 'stress'})
    type: Literal['pairs'] = 'pairs'
    depth: dict[str, float]
    """Depth of the well (eV) by element."""
    distance: dict[str, float] = {}
    """Distance of the minimum (Å) by element; twice the van der Waals radius where it is left out."""


class MorseConfig(CalculatorConfig):
    """Morse pairs of one element."""

    properties: ClassVar[frozenset[str] | None] = frozenset({'energy', 'forces', 'stress'})
    type: Literal['morse'] = 'morse'
    element: str
    """The element."""
    depth: float = Field(gt=0)
    """Depth of the well (eV)."""
    distance: float = Field(gt=0)
    """Distance of the minimum (Å)."""
    stiffness: float = Field(gt=0)
    """Width of the well: the smaller, the wider (no unit)."""

    def known_elements(self) -> frozenset[str]:
        """Tell the element."""
        return frozenset({self.element})


@register('calculator', 'morse', MorseConfig)
def make_morse(config: MorseConfig) -> MorsePotential:
    """Morse potential for one element."""
    return MorsePotential(epsilon=config.depth, r0=config.distance, rho0=config.stiffness, rcut1=1.2, rcut2=REACH)


@register('trainer', 'morse')
class MorseTraining(TrainerConfig):
    """A Morse potential, fitted by least squares."""

    type: Literal['morse'] = 'morse'
    start_distance: float | None = Field(default=None, gt=0)
    """Distance of the minimum (Å) that the fit starts from; twice the van der Waals radius without it."""
    energy_weight: float = Field(default=10.0, gt=0)
    """Weight of an energy per atom (eV) relative to a force component (eV/Å)."""


@register('explorer', 'shake')
class ShakeExploration(ExplorerConfig):
    """Training structures with displaced atoms."""

    type: Literal['shake'] = 'shake'
    amplitude: float | None = Field(default=None, gt=0)
    """Standard deviation of the displacements (Å); a twentieth of the smallest van der Waals radius without it."""
    max_force: float = Field(default=1.0, gt=0)
    """Frames with a larger force (eV/Å), says the potential, are left out."""
