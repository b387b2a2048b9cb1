"""What the validators of spectra share: harmonic vibrations by finite differences, and trajectories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from ase import Atoms, units
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from pydantic import Field, model_validator
from scipy.linalg import null_space
from scipy.optimize import linear_sum_assignment

from aiida_traincraft.science.atoms.arrays import BoolArray, FloatArray
from aiida_traincraft.science.config.validation import StructureValidatorConfig
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import BrokenError, Curve, Findings, Subject, Validator, compute
from aiida_traincraft.science.validation.spectra import LIGHT, find_bands, unwrap_dipoles

LARGEST_VIBRATING = 200
"""Atoms whose finite differences (6 calculations each) a reference can still be asked for."""
RELAXATION_STEPS = 500
ACTIVE = 0.05
"""Modes weaker than this part of the strongest do not count as peaks."""
LONGEST_INTERVAL = 3.0
"""Time between two values (fs) that still resolves 5000 cm⁻¹."""
IMAGINARY = -20.0
"""Wavenumber (cm⁻¹) below which a mode is imaginary, and no noise of the forces."""


class SpectrumConfig(StructureValidatorConfig):
    """What infrared and Raman spectra share."""

    fmax: float = Field(default=0.001, ge=1e-8, le=10)
    """The relaxation of the atoms ends when the force on every atom is below this (eV/Å); the cell stays."""
    displacement: float = Field(default=0.01, gt=0, le=0.1)
    """Displacement of the finite differences (Å)."""
    runs: int = Field(default=4, ge=0, le=100)
    """Independent trajectories; 0 gives the harmonic spectrum only."""
    temperature: float = Field(default=60.0, gt=0, le=100_000)
    """Temperature of the trajectories (K); at higher ones peaks leave the harmonic ones by anharmonicity."""
    length: float = Field(default=4.0, gt=0, le=1000)
    """Length of each at constant energy (ps)."""
    equilibration: float = Field(default=1.0, ge=0, le=1000)
    """Langevin dynamics before each (ps)."""
    friction: float = Field(default=10.0, ge=0.001, le=10_000)
    """Friction of the Langevin dynamics (1/ps)."""
    timestep: float = Field(default=0.5, ge=0.01, le=2)
    """Time step (fs)."""
    interval: int = Field(default=2, ge=1)
    """Steps between two values of the dipole or polarizability, together no longer than 3 fs."""
    window: float = Field(default=2.0, ge=0.01, le=1000)
    """Longest lag of the autocorrelation (ps): peaks are 33 cm⁻¹ ps wide divided by it."""

    @model_validator(mode='after')
    def _resolved(self) -> SpectrumConfig:
        if self.interval * self.timestep > LONGEST_INTERVAL:
            raise ValueError(
                f'"interval" ({self.interval}) times "timestep" ({self.timestep} fs) is over {LONGEST_INTERVAL} fs: '
                'fast vibrations are not resolved'
            )
        if self.window > self.length:
            raise ValueError(f'"window" ({self.window} ps) is longer than "length" ({self.length} ps)')
        return self


@dataclass(frozen=True)
class Harmonic:
    """Vibrations about a minimum, by rising wavenumber.

    Attributes
    ----------
    wavenumbers
        (n_modes,) in cm⁻¹, imaginary ones as negative numbers.
    vectors
        Mass-weighted displacements, orthonormal, (n_modes, 3 n_atoms).
    weighted
        Derivatives of the dipole (e/√u) or of the polarizability (Å²/√u) with respect to the mass-weighted
        coordinates, (3 n_atoms, ...); None if it is not known.
    """

    wavenumbers: FloatArray
    vectors: FloatArray
    weighted: FloatArray | None

    def derivatives(self, vectors: FloatArray) -> FloatArray | None:
        """Derivatives along mass-weighted vectors (n, 3 n_atoms), such as the modes of another potential."""
        return None if self.weighted is None else np.tensordot(vectors, self.weighted, axes=1)


class SpectrumValidator(Validator):
    """Harmonic spectrum by finite differences, and spectrum of trajectories."""

    config: SpectrumConfig

    response: ClassVar[str]
    """Property whose changes are seen."""
    strength: ClassVar[str]
    """Name of what a mode's line is strong by."""

    def strengths(self, derivatives: FloatArray) -> FloatArray:
        """Strength of each mode from its derivatives (n_modes, ...)."""
        raise NotImplementedError

    def tabulate(self, wavenumbers: FloatArray, derivatives: FloatArray) -> Curve:
        """Harmonic spectrum."""
        raise NotImplementedError

    def transform(self, series: FloatArray, atoms: Atoms, temperature: float) -> tuple[Curve, FloatArray, FloatArray]:
        """Spectrum of trajectories (n_runs, n_values, ...) at a temperature (K); wavenumbers and strengths again."""
        raise NotImplementedError

    def describe(self, derivatives: FloatArray) -> dict[str, float | None]:
        """Further numbers, from the derivatives of the strongest mode."""
        return {}

    def check_start(self, start: Structure) -> None:
        """Raise ValueError if the start has a single atom or too many."""
        if not 2 <= len(start) <= LARGEST_VIBRATING:
            raise ValueError(
                f'"geometry" has {len(start)} atoms; validator {self.config.type!r} takes 2 to {LARGEST_VIBRATING}'
            )

    def plan(self, subject: Subject) -> list[Structure]:
        """Start relaxed by the potential, and each of its coordinates displaced both ways."""
        assert subject.start is not None
        relaxed = subject.start.bare()
        atoms = relaxed.atoms
        atoms.set_constraint()
        atoms.calc = subject.calculator
        converged = BFGS(atoms, logfile=None).run(fmax=self.config.fmax, steps=RELAXATION_STEPS)
        atoms.calc = None
        if not (converged and np.isfinite(atoms.positions).all()):
            raise BrokenError(f'the start does not relax to {self.config.fmax} eV/Å in {RELAXATION_STEPS} steps')
        frames = [relaxed]
        for coordinate in range(3 * len(atoms)):
            for step in (self.config.displacement, -self.config.displacement):
                frame = relaxed.bare()
                frame.atoms.positions[divmod(coordinate, 3)] += step
                frame.provenance |= {'coordinate': coordinate, 'displacement': step}
                frames.append(frame)
        return frames

    def measure(self, frames: Sequence[Structure]) -> Findings:
        """Harmonic spectrum; without the property that is looked at, the frequencies only."""
        modes = find_modes(frames, self.response)
        lowest = float(modes.wavenumbers[0])
        findings = Findings({'lowest_frequency': lowest})
        if lowest < IMAGINARY:
            count = int((modes.wavenumbers < IMAGINARY).sum())
            findings.notes.append(f'{count} imaginary modes: the relaxed start is no minimum of the energy')
        derivatives = modes.derivatives(modes.vectors)
        if derivatives is None:
            return findings | Findings(notes=[f'no {self.response}: no intensities'])
        strengths = self.strengths(derivatives)
        strongest = int(strengths.argmax())
        findings.values |= {
            'strongest_peak': float(modes.wavenumbers[strongest]),
            f'total_{self.strength}': float(strengths.sum()),
            **self.describe(derivatives[strongest]),
        }
        findings.curves['harmonic'] = self.tabulate(modes.wavenumbers, derivatives)
        return findings

    def contrast(self, own: Sequence[Structure], reference: Sequence[Structure]) -> dict[str, float | None]:
        """Errors mode by mode, each matched with the reference's by overlap.

        Of the peaks, the largest difference over the modes that are visible in the reference; of the strengths, the
        largest difference along the reference's modes, as a part of its strongest line.
        """
        mine, theirs = find_modes(own, self.response), find_modes(reference, self.response)
        derivatives = theirs.derivatives(theirs.vectors)
        found = mine.derivatives(theirs.vectors)
        if derivatives is None or found is None:
            return {'peak_error': None, f'{self.strength}_error': None}
        strengths = self.strengths(derivatives)
        _, match = linear_sum_assignment((theirs.vectors @ mine.vectors.T) ** 2, maximize=True)
        shifts = np.abs(mine.wavenumbers[match] - theirs.wavenumbers)[_active(strengths)]
        return {
            'peak_error': float(shifts.max()) if len(shifts) else None,
            f'{self.strength}_error': float(np.abs(self.strengths(found) - strengths).max() / strengths.max())
            if len(shifts)
            else None,
        }

    def run(self, subject: Subject) -> Findings:
        """Spectrum of trajectories beside the harmonic one."""
        if not self.config.runs:
            return Findings()
        # Once more than `measure` needs them: little beside the trajectories.
        frames = [compute(frame, subject.calculator, subject.dielectric) for frame in self.plan(subject)]
        modes = find_modes(frames, self.response)
        derivatives = modes.derivatives(modes.vectors)
        if derivatives is None:
            return Findings(broken=f'the potential gives no {self.response}')
        try:
            runs = [self._propagate(frames[0].atoms, subject, number) for number in range(self.config.runs)]
        except ImportError:
            raise
        # Whatever a potential makes of a structure that it does not know; the harmonic numbers stay.
        except Exception as error:
            reason = str(error) if isinstance(error, BrokenError) else f'{type(error).__name__}: {error}'
            return Findings({'peak_difference': None, 'energy_drift': None}, broken=reason)
        series, temperatures, drifts = zip(*runs, strict=True)
        temperature = float(np.mean(temperatures))
        curve, wavenumbers, intensities = self.transform(np.array(series), frames[0].atoms, temperature)
        visible = _active(self.strengths(derivatives)) & (modes.wavenumbers > 0)
        bands = find_bands(wavenumbers, intensities)
        difference = None
        if visible.any() and len(bands):
            difference = float(np.abs(modes.wavenumbers[visible, None] - bands).min(axis=1).max())
        return Findings(
            {'peak_difference': difference, 'energy_drift': float(max(drifts, key=abs))},
            {'spectrum': curve},
            [f'the trajectories have a mean temperature of {temperature:.0f} K'],
        )

    def _propagate(self, start: Atoms, subject: Subject, number: int) -> tuple[FloatArray, float, float]:
        """One trajectory: values of the property, temperature (K), drift of the energy (meV/atom/ps)."""
        config, rng = self.config, subject.rng
        source = subject.dielectric or subject.calculator
        atoms, timestep = start.copy(), config.timestep * units.fs
        roots = np.repeat(atoms.get_masses(), 3) ** 0.5
        atoms.calc = subject.calculator
        # The Maxwell-Boltzmann distribution; ASE's function for it changed its name between the versions allowed.
        momenta = rng.normal(size=3 * len(atoms)) * roots * np.sqrt(units.kB * config.temperature)
        atoms.set_momenta(momenta.reshape(-1, 3))
        langevin = LangevinBAOAB(
            atoms, timestep, temperature_K=config.temperature, T_tau=1000 * units.fs / config.friction, rng=rng
        )
        for step in range(round(1000 * config.equilibration / config.timestep)):
            langevin.step()
            self._guard(atoms, f'equilibration, step {step}')
        inside = internal_motions(atoms)
        atoms.set_momenta((roots * (inside @ (inside.T @ (atoms.get_momenta().ravel() / roots)))).reshape(-1, 3))
        dynamics = VelocityVerlet(atoms, timestep)
        values, energies, kinetic = [], [], []
        n_steps = round(1000 * config.length / config.timestep)
        for step in range(n_steps + 1):
            if step:
                dynamics.step()
                self._guard(atoms, f'step {step}')
            if step % config.interval == 0:
                energies.append(atoms.get_total_energy())
                kinetic.append(atoms.get_kinetic_energy())
                values.append(np.copy(source.get_property(self.response, atoms)))
        series = np.array(values)
        if not np.isfinite(series).all():
            raise BrokenError(f'{self.response} is not finite in trajectory {number + 1}')
        times = np.arange(len(energies)) * config.interval * config.timestep / 1000
        drift = 1000 * np.polyfit(times, np.array(energies) - energies[0], 1)[0] / len(atoms)
        subject.report(f'{config.label}: trajectory {number + 1} of {config.runs} is done')
        return series, 2 * float(np.mean(kinetic)) / (inside.shape[1] * units.kB), float(drift)

    def _guard(self, atoms: Atoms, place: str) -> None:
        target = self.config.temperature
        if not np.isfinite(atoms.positions).all():
            raise BrokenError(f'dynamics at {target:.0f} K: positions are not finite at {place}')
        if not atoms.get_temperature() <= 10 * target + 1000:
            raise BrokenError(
                f'dynamics at {target:.0f} K: the temperature is {atoms.get_temperature():.0f} K at {place}'
            )


def find_modes(frames: Sequence[Structure], response: str) -> Harmonic:
    """Harmonic vibrations and the derivatives of a property.

    Parameters
    ----------
    frames
        As of :meth:`SpectrumValidator.plan`, with forces and, if derivatives are wanted, the property.
    response
        ``dipole`` (e·Å; jumps by lattice vectors are taken out) or ``polarizability`` (Å³).

    Returns
    -------
    Harmonic
        Without translations and, where nothing is periodic, rotations.
    """
    start, displaced = frames[0], frames[1:]
    size = 3 * len(start)
    roots = np.repeat(start.atoms.get_masses(), 3) ** 0.5
    known = all(response in frame.properties for frame in frames)
    hessian = np.zeros((size, size))
    weighted = np.zeros((size, *np.shape(start.properties[response]))) if known else None
    for frame in displaced:
        coordinate, step = frame.provenance['coordinate'], frame.provenance['displacement']
        hessian[coordinate] -= np.ravel(frame.properties['forces']) / (2 * step)
        if weighted is not None:
            weighted[coordinate] += _change(start, frame, response) / (2 * step * roots[coordinate])
    inside = internal_motions(start.atoms)
    dynamical = (hessian + hessian.T) / (2 * np.outer(roots, roots))
    squares, vectors = np.linalg.eigh(inside.T @ dynamical @ inside)
    omega = np.sign(squares) * np.sqrt(np.abs(squares)) * units.fs
    return Harmonic(omega / (2 * np.pi * LIGHT), (inside @ vectors).T, weighted)


def internal_motions(atoms: Atoms) -> FloatArray:
    """Orthonormal basis (3 n_atoms, n_modes) of the mass-weighted motions without those of the whole.

    A structure without periodicity rotates, too.
    """
    axes = np.eye(3)
    motions = [np.tile(axis, len(atoms)) for axis in axes]
    if not atoms.pbc.any():
        arms = atoms.positions - atoms.get_center_of_mass()
        motions += [np.cross(axis, arms).ravel() for axis in axes]
    # A molecule on a line has two rotations only: its third is zero but for what the relaxation left.
    return np.asarray(null_space(np.array(motions) * np.repeat(atoms.get_masses(), 3) ** 0.5, rcond=2e-3))


def _change(start: Structure, frame: Structure, response: str) -> FloatArray:
    values = np.array([start.properties[response], frame.properties[response]])
    if response == 'dipole':
        values = unwrap_dipoles(values, start.atoms.cell.complete().array, start.atoms.pbc)
    return np.asarray(values[1] - values[0])


def _active(strengths: FloatArray) -> BoolArray:
    return np.asarray((strengths > 0) & (strengths >= ACTIVE * strengths.max()))
