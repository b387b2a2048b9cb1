"""Validator ``md_stability``: whether dynamics with a potential last, and keep their energy."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from ase import Atoms, units
from ase.md.verlet import VelocityVerlet
from ase.neighborlist import neighbor_list
from pydantic import Field

from aiida_traincraft.science.atoms.distances import minimum_distance
from aiida_traincraft.science.config.kinds import ValidatorConfig
from aiida_traincraft.science.config.validation import StructureValidatorConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.sampling import SamplingRun, sample
from aiida_traincraft.science.sampling.md import DISTANCE_INTERVAL, MdConfig
from aiida_traincraft.science.sampling.recording import BrokenError, breaking
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import Findings, Subject, Validator

MOST_RECORDS = 200
Row = tuple[float, str, float, float, float]
COLUMNS = ('time (ps)', 'ensemble', 'temperature (K)', 'total energy (eV/atom)', 'minimum distance (Å)')


class ThermostatConfig(ValidatorConfig):
    """What validators that run Langevin dynamics share."""

    temperature: float = Field(gt=0, le=100_000)
    """Temperature (K)."""
    runs: int = Field(default=3, ge=1, le=100)
    """Independent trajectories, each with its own seed."""
    length: float = Field(default=5.0, gt=0, le=1000)
    """Length of each at constant temperature, without the equilibration (ps)."""
    equilibration: float = Field(default=1.0, ge=0, le=1000)
    """Dynamics before anything is measured (ps)."""
    timestep: float = Field(default=1.0, ge=0.01, le=10)
    """Time step (fs)."""
    friction: float = Field(default=10.0, ge=0.001, le=10_000)
    """Friction of the thermostat (1/ps)."""
    min_distance: float = Field(default=0.5, ge=0)
    """A trajectory ends when two atoms are closer than this fraction of the sum of their covalent radii."""

    def steps(self, time: float) -> int:
        """Steps of a time (ps)."""
        return round(1000 * time / self.timestep)

    def sample(self, start: Structure, subject: Subject) -> SamplingRun:
        """Trajectory at constant temperature from a structure."""
        steps = max(1, self.steps(self.length))
        config = MdConfig(
            temperature=self.temperature,
            timestep=self.timestep,
            friction=self.friction,
            steps=steps,
            equilibration=self.steps(self.equilibration),
            n=min(MOST_RECORDS, steps),
            min_distance=self.min_distance,
        )
        return sample(start, subject.calculator, None, config, int(subject.rng.integers(2**31)))


class MdStabilityConfig(ThermostatConfig, StructureValidatorConfig):
    """Stability of molecular dynamics."""

    aliases: ClassVar[tuple[str, ...]] = ('md', 'stability')
    compares: ClassVar[bool] = False
    quantities: ClassVar[dict[str, str]] = {
        'survival': '',
        'energy_drift': 'meV/atom/ps',
        'minimum_distance': 'Å',
        'temperature_deviation': 'K',
    }
    type: Literal['md_stability'] = 'md_stability'
    reference: Literal[False] = False
    """A reference is not asked for dynamics."""
    nve_length: float = Field(default=2.0, gt=0, le=1000)
    """Length of each trajectory at constant energy, after that at constant temperature (ps)."""


@register('validator', 'md_stability', MdStabilityConfig)
class MdStability(Validator):
    """Langevin dynamics (NVT), then dynamics at constant energy (NVE), from several seeds.

    Each run starts with Langevin dynamics at ``temperature``; at its last frame, momenta of the Maxwell-Boltzmann
    distribution are drawn, and velocity Verlet goes on at constant energy. A run ends early where positions or forces
    are not finite, the temperature exceeds ten times the target plus 1000 K, or two atoms come closer than
    ``min_distance``.

    ``survival`` is the share of runs (0 to 1) that reached the end; ``energy_drift`` the slope of a linear fit to the
    total energy at constant energy (Fu et al., TMLR (2023), arXiv:2210.07237, on why stability is measured besides
    forces), of the run where it is largest; ``minimum_distance`` the shortest distance of two atoms in up to 200
    frames of each part of each run; ``temperature_deviation`` the mean temperature of the NVT parts minus
    ``temperature``, with 3 N degrees of freedom. A run that ends early counts for all but its missing parts.

    Examples
    --------
    .. code-block:: toml

        [validator]
        type = "md_stability"
        geometry.builder = { type = "crystal", name = "Cu", cubic = true }
        geometry.transforms = [{ type = "supercell", repeat = [2, 2, 2] }]
        temperature = 300.0
        runs = 2
        length = 0.2
        equilibration = 0.1
        nve_length = 0.1
        timestep = 4.0
        at_most = { energy_drift = 5.0 }
        at_least = { survival = 1.0, minimum_distance = 1.8 }
    """

    config: MdStabilityConfig

    def check_start(self, start: Structure) -> None:
        """Raise ValueError if there is nothing that could move against anything."""
        if len(start) < 2:
            raise ValueError('"geometry" has 1 atom; validator "md_stability" takes 2 or more: use a supercell')

    def run(self, subject: Subject) -> Findings:
        """All runs; one that ends early is a result."""
        config, findings = self.config, Findings()
        drifts: list[float] = []
        rows: list[Row] = []
        for number in range(1, config.runs + 1):
            trajectory: list[Row] = []
            end = self._propagate(subject, trajectory)
            subject.report(f'{config.label}: run {number} of {config.runs}: {end}')
            if end == 'finished':
                times, energies = zip(*((row[0], row[3]) for row in trajectory if row[1] == 'NVE'), strict=True)
                drifts.append(float(1000 * np.polyfit(times, np.array(energies) - energies[0], 1)[0]))
            else:
                findings.notes.append(f'run {number} of {config.runs}: {end}')
            if trajectory:
                columns = map(list, zip(*trajectory, strict=True))
                findings.curves[f'run_{number}'] = dict(zip(COLUMNS, columns, strict=True))
            rows += trajectory
        temperatures = [row[2] for row in rows if row[1] == 'NVT']
        findings.values = {
            'survival': len(drifts) / config.runs,
            'energy_drift': max(drifts, key=abs, default=None),
            'minimum_distance': min((row[4] for row in rows), default=None),
            'temperature_deviation': float(np.mean(temperatures)) - config.temperature if temperatures else None,
        }
        return findings

    def _propagate(self, subject: Subject, trajectory: list[Row]) -> str:
        """One run; how it ended."""
        assert subject.start is not None
        thermal = self.config.sample(subject.start, subject)
        for frame in thermal.frames:
            temperature = float(frame.provenance['temperature'])
            energy = float(frame.properties['energy']) + 1.5 * len(frame) * units.kB * temperature
            time = frame.provenance['step'] * self.config.timestep / 1000
            trajectory.append((time, 'NVT', temperature, energy / len(frame), shortest_distance(frame.atoms)))
        if thermal.end != 'finished':
            return f'NVT {thermal.end}'
        free = SamplingRun()
        with breaking(free, subject.calculator, None):
            self._conserve(thermal.frames[-1].atoms.copy(), subject, trajectory, thermal.steps)
        return free.end if free.end == 'finished' else f'NVE {free.end}'

    def _conserve(self, atoms: Atoms, subject: Subject, trajectory: list[Row], done: int) -> None:
        """Dynamics at constant energy from atoms of the canonical ensemble."""
        config = self.config
        atoms.calc = subject.calculator
        spread = np.sqrt(atoms.get_masses() * units.kB * config.temperature)
        atoms.set_momenta(subject.rng.normal(size=atoms.positions.shape) * spread[:, None])
        dynamics = VelocityVerlet(atoms, config.timestep * units.fs)
        n_steps = max(2, config.steps(config.nve_length))
        interval = -(-n_steps // MOST_RECORDS)
        for step in range(n_steps + 1):
            if step:
                dynamics.step()
            temperature = float(atoms.get_temperature())
            if not (np.isfinite(atoms.positions).all() and temperature <= 10 * config.temperature + 1000):
                raise BrokenError(f'the temperature is {temperature:.0f} K at step {step}')
            if step % DISTANCE_INTERVAL == 0 and minimum_distance(atoms) < config.min_distance:
                raise BrokenError(f'two atoms come closer than {config.min_distance} covalent radii at step {step}')
            if step % interval == 0:
                time = (done + step) * config.timestep / 1000
                energy = float(atoms.get_total_energy()) / len(atoms)
                trajectory.append((time, 'NVE', temperature, energy, shortest_distance(atoms)))


def shortest_distance(atoms: Atoms) -> float:
    """Shortest distance (Å) of two atoms, periodic images included; of two atoms or more."""
    cutoff = 3.0
    while not len(distances := neighbor_list('d', atoms, cutoff)):
        cutoff *= 2
    return float(distances.min())
