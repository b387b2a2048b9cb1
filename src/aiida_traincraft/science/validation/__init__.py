"""Validators: what a potential says of physics that it was not fitted to, as numbers with units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.kinds import ERROR, ValidatorConfig
from aiida_traincraft.science.errors import shortened
from aiida_traincraft.science.optional import MissingLibraryError
from aiida_traincraft.science.structure import Structure

Curve = dict[str, list[Any]]
"""Columns of equal length; a column's name ends with its unit in brackets."""


class BrokenError(Exception):
    """A validator ran and the potential failed at it so badly that a number cannot be told: a result, no crash."""


@dataclass
class Subject:
    """What is validated, and beside what.

    Attributes
    ----------
    calculator
        ASE calculator of the potential: energy (eV), forces (eV/Å), stress (eV/Å³) where it has it.
    start
        Structure that a validator starts from; None for those that need none.
    labelled
        Labelled structures that the potential was not trained on: the sealed test set.
    dielectric
        ASE calculator of ``dipole`` (e·Å) and, perhaps, ``polarizability`` (Å³); None without such a model.
    rng
        Source of all randomness.
    report
        Takes one line of progress at a time.
    """

    calculator: Any
    start: Structure | None = None
    labelled: Sequence[Structure] = ()
    dielectric: Any | None = None
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    report: Callable[[str], None] = print


@dataclass
class Findings:
    """What a validator found.

    Attributes
    ----------
    values
        Numbers by name, in the units of the config's ``quantities``; None where one is not defined.
    curves
        Tables behind figures, by name.
    notes
        Sentences for the reader.
    broken
        Why there are no (or not all) numbers; None if all went well.
    """

    values: dict[str, float | None] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    broken: str | None = None

    def __or__(self, other: Findings) -> Findings:
        return Findings(
            self.values | other.values,
            self.curves | other.curves,
            self.notes + other.notes,
            self.broken or other.broken,
        )


class Validator:
    """Base of all validators; what one does not need stays as it is here."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def check_start(self, start: Structure) -> None:
        """Raise ValueError, naming the key, if the validator can do nothing with a starting structure."""
        return

    def plan(self, subject: Subject) -> list[Structure]:
        """Structures whose energies, forces, ... tell the numbers; the potential may relax them first.

        What :meth:`measure` must know of a structure stands in its provenance.
        """
        return []

    def measure(self, frames: Sequence[Structure]) -> Findings:
        """Numbers from the planned structures with the properties that a potential, or the reference, gave them."""
        return Findings()

    def contrast(self, own: Sequence[Structure], reference: Sequence[Structure]) -> dict[str, float | None]:
        """Numbers that take both the potential's and the reference's properties of the planned structures."""
        return {}

    def run(self, subject: Subject) -> Findings:
        """Numbers that only the potential itself is asked for: dynamics, errors on labelled structures."""
        return Findings()


@dataclass(frozen=True)
class Check:
    """One number against one limit."""

    quantity: str
    value: float | None
    limit: float
    kind: str
    """``at_most`` (of the magnitude) or ``at_least``."""

    @property
    def passed(self) -> bool:
        """Whether the limit is kept; a number that is not there keeps none."""
        if self.value is None:
            return False
        return abs(self.value) <= self.limit if self.kind == 'at_most' else self.value >= self.limit


def make_validator(config: ValidatorConfig) -> Validator:
    """Validator that a config describes."""
    found: Validator = registry.get('validator', config.type).function(config)
    return found


def examine(config: ValidatorConfig, subject: Subject) -> tuple[Findings, list[Structure]]:
    """Run one validator on a potential: :func:`explore`, then :func:`conclude`.

    Returns
    -------
    tuple
        What was found, and the planned structures with the potential's properties: what a reference is asked for too.

    Raises
    ------
    MissingLibraryError
        If a library that the validator needs is not installed. Whatever else goes wrong is a finding.
    """
    findings, frames = explore(config, subject)
    return conclude(config, findings, frames), frames


def explore(config: ValidatorConfig, subject: Subject) -> tuple[Findings, list[Structure]]:
    """The half of a validation that needs the potential.

    Returns
    -------
    tuple
        What only the potential is asked for, and the planned structures with the potential's properties.

    Raises
    ------
    MissingLibraryError
        If a library that the validator needs is not installed. Whatever else goes wrong is a finding.
    """
    validator = make_validator(config)
    frames: list[Structure] = []

    def planned() -> Findings:
        frames.extend(compute(frame, subject.calculator, subject.dielectric) for frame in validator.plan(subject))
        return Findings()

    if (failed := _guarded(planned)).broken:
        return failed, []
    return _guarded(lambda: validator.run(subject)), frames


def conclude(config: ValidatorConfig, findings: Findings, frames: Sequence[Structure]) -> Findings:
    """The half of a validation that needs no potential: what the planned structures tell.

    Raises
    ------
    MissingLibraryError
        If a library that the validator needs is not installed. Whatever else goes wrong is a finding.
    """
    if not frames:
        return findings
    return _guarded(lambda: make_validator(config).measure(frames)) | findings


def _guarded(function: Callable[[], Findings]) -> Findings:
    try:
        findings = function()
    except MissingLibraryError:
        raise
    except BrokenError as error:
        return Findings(broken=shortened(str(error)))
    # Whatever a potential makes of a structure that it does not know.
    except Exception as error:
        return Findings(broken=shortened(f'{type(error).__name__}: {error}'))
    values = {n: v if v is None or np.isfinite(v) else None for n, v in findings.values.items()}
    return Findings(values, findings.curves, findings.notes, findings.broken)


def compute(structure: Structure, calculator: Any, dielectric: Any | None = None) -> Structure:
    """Copy of a structure with energy, forces and, where they are given, stress, dipole and polarizability.

    Raises
    ------
    BrokenError
        If a number is not finite.
    """
    computed = structure.bare()
    atoms = structure.atoms.copy()
    atoms.set_constraint()
    wanted = {calculator: ('energy', 'forces', *(('stress',) if atoms.pbc.all() else ()))}
    wanted[dielectric or calculator] = (*wanted.get(dielectric or calculator, ()), 'dipole', 'polarizability')
    for source, names in wanted.items():
        for name in names:
            if name in source.implemented_properties:
                computed.properties[name] = np.copy(source.get_property(name, atoms))
    for name, value in computed.properties.items():
        if not np.isfinite(value).all():
            raise BrokenError(f'{name} of {structure.formula} is not finite')
    computed.properties['energy'] = float(computed.properties['energy'])
    return computed


def compare(
    config: ValidatorConfig, findings: Findings, own: Sequence[Structure], reference: Sequence[Structure]
) -> Findings:
    """Findings with the reference's numbers (``..._reference``) and the differences from them (``..._error``).

    Parameters
    ----------
    config
        The validator's config.
    findings
        Of the potential.
    own
        The planned structures with the potential's properties.
    reference
        The same structures in the same order with the properties that the reference gave them.
    """
    validator = make_validator(config)
    theirs = _guarded(lambda: validator.measure(reference))
    values = dict(findings.values)
    for name, value in theirs.values.items():
        mine = findings.values.get(name)
        values[f'{name}_reference'] = value
        values[f'{name}{ERROR}'] = None if mine is None or value is None else mine - value
    values |= validator.contrast(own, reference)
    curves = findings.curves | {f'{name}_reference': curve for name, curve in theirs.curves.items()}
    notes = findings.notes + [f'reference: {note}' for note in theirs.notes]
    return Findings(values, curves, notes, findings.broken or (theirs.broken and f'reference: {theirs.broken}'))


def check(config: ValidatorConfig, findings: Findings) -> list[Check]:
    """All limits of a config held against the numbers."""
    return [
        Check(quantity, findings.values.get(quantity), limit, kind)
        for kind, limits in (('at_most', config.at_most), ('at_least', config.at_least))
        for quantity, limit in limits.items()
    ]
