"""What the platform may ask of a plugin: one base for the configs of each kind, with traits that a plugin sets.

Traits that are the same for every config of a plugin are class variables; those that depend on its keys are methods,
which by default answer from the class variables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from aiida_traincraft.science.config.base import PluginConfig, StrictModel

if TYPE_CHECKING:
    from aiida_traincraft.science.structure import Structure

ERROR = '_error'
"""Ending of the name of a quantity's difference from the reference."""


class SourceConfig(PluginConfig):
    """Reads structures that exist already."""

    network: ClassVar[bool] = False
    """Whether it asks a server; a campaign asks once, at launch, and keeps what it got as a file."""
    profile: ClassVar[bool] = False
    """Whether it reads an AiiDA profile; a campaign does so once, at launch."""

    @property
    def at_launch(self) -> bool:
        """Whether it is read when a campaign is launched, and not by jobs."""
        return self.network or self.profile


class BuilderConfig(PluginConfig):
    """Makes structures from a description."""


class TransformConfig(PluginConfig):
    """Changes one structure."""


class LabelSourceConfig(PluginConfig):
    """Gives energies, forces and more of structures: what a calculator and a labeller have in common."""

    elements: ClassVar[frozenset[str] | None] = None
    """Elements that it knows; None: not told, so not checked."""
    properties: ClassVar[frozenset[str] | None] = None
    """What it gives, of ``energy``, ``forces``, ``stress``, ``dipole``, ``polarizability``; None: not told."""
    periodic: ClassVar[frozenset[str] | None] = None
    """Those of ``properties`` that it gives of periodic structures; None: all."""
    dimensions: ClassVar[frozenset[int]] = frozenset(range(4))
    """Numbers of periodic directions that it can do."""
    gamma_only: ClassVar[bool] = False
    """Whether it samples the Gamma point only, so that energies of cells of several sizes do not compare."""

    def known_elements(self) -> frozenset[str] | None:
        """Elements that it knows with these keys; None: not told."""
        return self.elements

    def given_properties(self) -> frozenset[str] | None:
        """What it gives with these keys; None: not told."""
        return self.properties


class CalculatorConfig(LabelSourceConfig):
    """Describes an ASE calculator."""

    files: ClassVar[tuple[str, ...]] = ()
    """Its keys that name files (a path, or several)."""

    def level_table(self) -> dict[str, Any]:
        """What of the table decides the numbers, with files by their content; read where it calculates."""
        return self.model_dump(mode='json')

    def check_files(self) -> None:
        """Check those of its files that lie on this machine.

        Raises
        ------
        ValueError
            If one is damaged.
        """


class SamplerConfig(PluginConfig):
    """Draws structures around a start."""

    needs_calculator: ClassVar[bool] = False
    """Whether it needs energies and forces."""

    @property
    def stress_key(self) -> str | None:
        """Its key that asks for the stress; None if it needs none."""
        return None

    def added_elements(self) -> frozenset[str]:
        """Elements that it may add to the start."""
        return frozenset()


class SelectorConfig(PluginConfig):
    """A stage of the selection funnel."""

    needs_costs: ClassVar[bool] = False
    """Whether it asks what labels have cost so far (``FunnelContext.costs``)."""

    def named_systems(self) -> dict[str, frozenset[str]]:
        """Systems that its keys name, by key; each must be explored."""
        return {}


class LabellerConfig(LabelSourceConfig):
    """Section ``[labelling]``: who gives energies and forces."""

    roles: ClassVar[tuple[str, ...]] = ()
    """Codes of ``[codes]`` that it needs."""
    seam: ClassVar[str | None] = None
    """Its WorkChain is ``traincraft.label.<seam>``; None: the type."""

    max_failed_fraction: float = Field(default=0.1, ge=0, le=1)
    """Fraction of the structures selected together whose labels may fail before the campaign stops."""
    min_distance: float = Field(default=0.5, ge=0)
    """Structures with two atoms closer than this fraction of the sum of their covalent radii are refused."""

    def teacher(self) -> CalculatorConfig | None:
        """Calculator that is cheap enough to draw structures with before there is a potential; None if there is none.

        It also says what the labels will hold.
        """
        return None


class BaselineConfig(PluginConfig):
    """Physics that a fit takes as given: subtracted from the labels, added to what was learnt from the rest.

    An isolated atom must have no energy in it.
    """

    subtracts: ClassVar[bool] = True
    """Whether there is anything to subtract and to add."""
    core_repulsion: ClassVar[bool] = True
    """Whether an ACE gets pacemaker's core repulsion, which begins below the distances of the data."""

    def reach(self) -> float | None:
        """Largest distance (Å) at which it acts; None: not told, so not held against the cutoff of the potential."""
        return None

    def known_pairs(self) -> frozenset[tuple[str, str]] | None:
        """Pairs of elements (each alphabetical) that it has parameters for; None: not told, so not checked."""
        return None

    def fitted(self, structures: Sequence[Structure]) -> BaselineConfig:
        """The same with all its parameters, for labelled structures; it is what the potential keeps."""
        return self

    def matches(self, stored: BaselineConfig) -> bool:
        """Whether a potential with this baseline, all parameters known, is one that this config asks for."""
        return self == stored


class TrainerConfig(PluginConfig):
    """Section ``[training]``: the potential and how it is fitted."""

    roles: ClassVar[tuple[str, ...]] = ()
    """Codes of ``[codes]`` that it needs."""
    seam: ClassVar[str | None] = None
    """Its WorkChain is ``traincraft.train.<seam>``; None: the type."""

    def given_properties(self) -> frozenset[str]:
        """What its potentials give."""
        return frozenset({'energy', 'forces', 'stress'})

    def neighbour_cutoff(self) -> float | None:
        """Distance (Å) up to which its potentials see neighbours; None: not told."""
        return None

    def needed_labels(self) -> frozenset[str]:
        """What labels must hold beside energies and forces."""
        return frozenset()

    def given_baseline(self) -> BaselineConfig | None:
        """What it subtracts from the labels; None: it knows of no baselines."""
        return None


class ForceErrorLimit(StrictModel):
    """A force error that is accepted, in place of thresholds of the uncertainty."""

    max_force_error: str | None = Field(default=None, pattern=r'^\s*\d+(\.\d*)?\s*(meV|eV)/(Å|A|Angstrom)\s*$')
    """Accepted error of the force on an atom: a number and its unit, meV/Å or eV/Å (Å may be A or Angstrom), such as
    "80 meV/Å". Each cycle, thresholds of the uncertainty are found on the sealed test set that keep it. Those given
    stay in force where none can be found."""
    confidence: float = Field(default=0.9, ge=0.5, le=0.999)
    """Share of the atoms whose force error the calibrated bound has to cover (no unit)."""

    @property
    def force_error(self) -> float | None:
        """Accepted error (eV/Å)."""
        if self.max_force_error is None:
            return None
        number, unit = self.max_force_error.split('/')[0].replace('eV', ' eV').replace('m eV', ' meV').split()
        return float(number) * (1e-3 if unit == 'meV' else 1.0)

    @model_validator(mode='after')
    def _positive(self) -> ForceErrorLimit:
        if self.force_error == 0:
            raise ValueError('"max_force_error" must be above 0')
        return self


class ExplorerConfig(PluginConfig, ForceErrorLimit):
    """Section ``[exploration]``: thresholds in the measure of the potential that explores."""

    roles: ClassVar[tuple[str, ...]] = ()
    """Codes of ``[codes]`` that it needs beside that of the potential."""
    seam: ClassVar[str | None] = None
    """Its WorkChain is ``traincraft.explore.<seam>``; None: the type."""

    gamma_lo: float = Field(default=2.0, gt=0)
    """ACE: frames above this extrapolation grade (no unit) are candidates."""
    gamma_hi: float = Field(default=10.0, gt=0)
    """ACE: a run halts above this extrapolation grade."""
    spread_lo: float = Field(default=0.1, gt=0)
    """Committee: frames in which the forces on an atom spread by more than this (eV/Å) are candidates."""
    spread_hi: float = Field(default=0.5, gt=0)
    """Committee: a run halts when the forces on an atom spread by more than this (eV/Å)."""

    def thresholds(self, measure: str) -> tuple[float, float]:
        """Thresholds of a measure, ``gamma`` or ``spread``."""
        return {'gamma': (self.gamma_lo, self.gamma_hi), 'spread': (self.spread_lo, self.spread_hi)}[measure]

    @model_validator(mode='after')
    def _ordered(self) -> ExplorerConfig:
        for measure in ('gamma', 'spread'):
            lo, hi = self.thresholds(measure)
            if lo >= hi:
                raise ValueError(f'"{measure}_lo" ({lo}) must be below "{measure}_hi" ({hi})')
        return self


class ValidatorConfig(PluginConfig):
    """What all validators share."""

    quantities: ClassVar[dict[str, str]] = {}
    """Numbers that the validator may give, and their units."""
    compares: ClassVar[bool] = False
    """Whether a reference can be asked for the same numbers."""
    needs: ClassVar[frozenset[str]] = frozenset({'energy', 'forces'})
    """Properties that the potential, and a reference, must give."""
    needs_labels: ClassVar[bool] = False
    """Whether it works on the labels of the test set."""

    name: str | None = Field(default=None, pattern=r'^[a-z][a-z0-9]*(_[a-z0-9]+)*$')
    """Name in reports, of small letters, digits and single underscores; by default the type. Two validators of one type
    need names."""
    at_most: dict[str, float] = {}
    """Largest magnitude allowed of a number, in the unit of the number."""
    at_least: dict[str, float] = {}
    """Smallest value allowed of a number, in the unit of the number."""

    @property
    def label(self) -> str:
        """Name, or else the type."""
        return self.name or self.type

    @property
    def has_reference(self) -> bool:
        """Whether the labelling is asked for the same numbers."""
        return False

    def tested_systems(self) -> dict[str, str]:
        """Systems of the test set that its keys name, by key."""
        return {}

    @model_validator(mode='after')
    def _known_quantities(self) -> ValidatorConfig:
        allowed = set(self.quantities)
        if self.compares:
            allowed |= {name + ERROR for name in self.quantities if not name.endswith(ERROR)}
        for key, limits in (('at_most', self.at_most), ('at_least', self.at_least)):
            if unknown := sorted(set(limits) - allowed):
                raise ValueError(
                    f'"{key}" names {", ".join(unknown)}, which {self.type!r} does not give; it gives '
                    f'{", ".join(sorted(allowed))}'
                )
        return self


BASES: dict[str, type[PluginConfig]] = {
    'source': SourceConfig,
    'builder': BuilderConfig,
    'transform': TransformConfig,
    'calculator': CalculatorConfig,
    'sampler': SamplerConfig,
    'selector': SelectorConfig,
    'labeller': LabellerConfig,
    'baseline': BaselineConfig,
    'trainer': TrainerConfig,
    'explorer': ExplorerConfig,
    'validator': ValidatorConfig,
}
"""Base of the configs of each kind, in pipeline order."""
