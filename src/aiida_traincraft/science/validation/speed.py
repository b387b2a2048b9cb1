"""Validator ``speed``: how fast molecular dynamics with a potential are."""

from __future__ import annotations

import os
import platform
import time
from typing import Annotated, ClassVar, Literal

import numpy as np
from ase import Atoms, units
from ase.md.verlet import VelocityVerlet
from pydantic import Field

from aiida_traincraft.science.atoms.sizes import check_size
from aiida_traincraft.science.config.validation import StructureValidatorConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import BrokenError, Curve, Findings, Subject, Validator

WARM_UP_STEPS = 3


class SpeedConfig(StructureValidatorConfig):
    """Speed of molecular dynamics."""

    compares: ClassVar[bool] = False
    quantities: ClassVar[dict[str, str]] = {'atom_steps_per_second': '1/s'}
    type: Literal['speed'] = 'speed'
    reference: Literal[False] = False
    """A reference is not timed."""
    sizes: list[Annotated[int, Field(ge=1, le=100)]] = Field(default=[1, 2, 3], min_length=1)
    """Repeats of the start along each periodic direction, one timing each."""
    duration: float = Field(default=2.0, gt=0, le=600)
    """Time of one timing (s); steps are done until it is over."""
    temperature: float = Field(default=300.0, gt=0, le=100_000)
    """Temperature of the first momenta (K)."""
    timestep: float = Field(default=1.0, ge=0.01, le=10)
    """Time step (fs)."""


@register('validator', 'speed', SpeedConfig)
class Speed(Validator):
    """Atoms times steps per second of wall time, in dynamics at constant energy (velocity Verlet).

    ``atom_steps_per_second`` is that of the largest of ``sizes``, after three steps that are not timed. It depends on
    the machine: compare numbers of one machine only. The cost of ASE's own dynamics is included.

    Examples
    --------
    .. code-block:: toml

        [validator]
        type = "speed"
        geometry.builder = { type = "crystal", name = "Cu", cubic = true }
        sizes = [1, 2]
        duration = 0.1
    """

    config: SpeedConfig

    def check_start(self, start: Structure) -> None:
        """Raise ValueError if the repeats are too large, or there is no direction to repeat in."""
        largest = max(self.config.sizes)
        if largest > 1 and not start.atoms.pbc.any():
            raise ValueError(f'"sizes" has {largest}, but "geometry" is not periodic: use sizes = [1]')
        check_size(len(start) * largest ** int(start.atoms.pbc.sum()), '"sizes"')

    def run(self, subject: Subject) -> Findings:
        """One timing per size."""
        assert subject.start is not None
        curve: Curve = {'atoms': [], 'steps': [], 'time per step (s)': [], 'atom_steps_per_second (1/s)': []}
        for size in sorted(set(self.config.sizes)):
            atoms = subject.start.atoms.repeat(np.where(subject.start.atoms.pbc, size, 1))
            steps, seconds = self._time(atoms, subject)
            row = (len(atoms), steps, seconds / steps, len(atoms) * steps / seconds)
            for column, value in zip(curve.values(), row, strict=True):
                column.append(value)
            subject.report(f'{self.config.label}: {len(atoms)} atoms: {row[-1]:.3g} atom-steps per second')
        machine = platform.processor() or platform.machine()
        note = f'timed on one machine ({machine}, {os.cpu_count()} cores); another gives other numbers'
        return Findings({'atom_steps_per_second': curve['atom_steps_per_second (1/s)'][-1]}, {'speed': curve}, [note])

    def _time(self, atoms: Atoms, subject: Subject) -> tuple[int, float]:
        """Steps done, and the time (s) they took."""
        config = self.config
        atoms.set_constraint()
        atoms.calc = subject.calculator
        spread = np.sqrt(atoms.get_masses() * units.kB * config.temperature)
        atoms.set_momenta(subject.rng.normal(size=atoms.positions.shape) * spread[:, None])
        dynamics = VelocityVerlet(atoms, config.timestep * units.fs)
        for _ in range(WARM_UP_STEPS):
            dynamics.step()
        steps, begin = 0, time.perf_counter()
        while (seconds := time.perf_counter() - begin) < config.duration or not steps:
            dynamics.step()
            steps += 1
            if not atoms.get_temperature() <= 10 * config.temperature + 1000:
                raise BrokenError(f'dynamics of {len(atoms)} atoms: {atoms.get_temperature():.0f} K at step {steps}')
        return steps, seconds
