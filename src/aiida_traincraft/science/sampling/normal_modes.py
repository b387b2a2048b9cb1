"""Sampler ``normal_modes``: thermal displacements along the vibrations of the start."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from ase import Atoms, units
from ase.optimize import BFGS
from pydantic import Field

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.atoms.distances import minimum_distance
from aiida_traincraft.science.config.kinds import SamplerConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.sampling import SamplingRun, Watch
from aiida_traincraft.science.sampling.observer import Observer
from aiida_traincraft.science.sampling.recording import BrokenError, breaking, require_calculator
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.workspace import Workspace

HBAR = units._hbar * units.J * units.s
MAX_TRIES = 100
RELAXATION_STEPS = 500
LARGEST_HESSIAN = 2000
"""Atoms whose Hessian (3 n_atoms, 3 n_atoms) still fits in the memory of any machine."""


class NormalModesConfig(SamplerConfig):
    """Random superpositions of harmonic vibrations."""

    aliases: ClassVar[tuple[str, ...]] = ('phonons', 'modes')
    needs_calculator: ClassVar[bool] = True
    type: Literal['normal_modes'] = 'normal_modes'
    temperature: float = Field(gt=0, le=100_000)
    """Temperature of the vibrations (K)."""
    n: int = Field(default=10, ge=1)
    """Frames; an exploration keeps those of them that are uncertain."""
    statistics: Literal['classical', 'quantum'] = 'classical'
    """Amplitudes by equipartition, or with zero-point motion (Bose-Einstein)."""
    relax: bool = True
    """Whether the atoms are relaxed in their cell first, so that the vibrations are about a minimum."""
    fmax: float = Field(default=0.01, ge=1e-8, le=10)
    """The relaxation ends when the force on every atom is below this (eV/Å)."""
    displacement: float = Field(default=0.01, gt=0, le=0.1)
    """Displacement of the finite differences of the forces (Å)."""
    min_frequency: float = Field(default=20.0, gt=0)
    """Modes below this (1/cm) are left out: soft and imaginary ones; translations, and rotations without
    periodicity, never take part."""
    min_distance: float = Field(default=0.6, ge=0)
    """Frames with two atoms closer than this fraction of the sum of their covalent radii are drawn again."""


@register('sampler', 'normal_modes', NormalModesConfig)
def normal_modes(
    structure: Structure,
    calculator: Any,
    workspace: Workspace | None,
    config: NormalModesConfig,
    rng: np.random.Generator,
    watch: Watch | None,
) -> SamplingRun:
    """Independent frames of the harmonic crystal or molecule at a temperature.

    The Hessian is taken by central differences of the forces (6 calculations per atom). The displacement of atom i is
    u_i = m_i^(-1/2) Σ_ν e_iν Q_ν, with normal coordinates Q_ν drawn from Gaussians of variance kT/ω² (classical) or
    ħ/(2ω) coth(ħω/2kT) = ħ/(2ω) (2n + 1) (quantum, n by Bose-Einstein); see Zacharias and Giustino, Phys. Rev. B 94,
    075125 (2016). Only vibrations that fit in the cell are there: take a supercell of a crystal.

    Raises
    ------
    ValueError
        If there is no calculator, one without uncertainties though they are to be watched, or there are too many atoms.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "crystal"
        name = "Cu"
        cubic = true

        [calculator]
        type = "emt"

        [sampling]
        type = "normal_modes"
        temperature = 300.0
        n = 5
    """
    require_calculator(calculator, watch, 'normal_modes')
    if len(structure) > LARGEST_HESSIAN:
        raise ValueError(f'sampler "normal_modes" takes up to {LARGEST_HESSIAN} atoms; {structure.formula} has more')
    run = SamplingRun()
    observer = Observer(run, structure, watch, config.min_distance)
    atoms = structure.atoms.copy()
    atoms.calc = calculator
    with breaking(run, calculator, watch):
        if config.relax and not BFGS(atoms, logfile=None).run(fmax=config.fmax, steps=RELAXATION_STEPS):
            raise BrokenError(f'the start does not relax to {config.fmax} eV/Å in {RELAXATION_STEPS} steps')
        omega, shapes = modes(atoms, config.displacement)
        kept = omega * HBAR / units.invcm >= config.min_frequency
        if not kept.any():
            raise BrokenError(f'there is no vibration above {config.min_frequency} 1/cm')
        spreads = np.sqrt(variances(omega[kept], config.temperature, config.statistics))
        facts = {'temperature': config.temperature, 'modes': int(kept.sum())}
        for number in range(1, config.n + 1):
            frame = _draw(atoms, shapes[kept], spreads, config, rng)
            if not observer.see(frame, number, True, facts, last=number == config.n, independent=True):
                break
    return run


def modes(atoms: Atoms, displacement: float) -> tuple[FloatArray, FloatArray]:
    """Vibrations by central differences of the forces.

    Parameters
    ----------
    atoms
        With a calculator; they are left as they are.
    displacement
        Step of the differences (Å).

    Returns
    -------
    (3 n_atoms,) and (3 n_atoms, n_atoms, 3) arrays
        Angular frequencies in ASE's unit of 1/time, imaginary ones as negative numbers; displacements per unit of the
        normal coordinate (1/√u).
    """
    start = atoms.positions.copy()
    hessian = np.empty((start.size, start.size))
    try:
        for row, place in enumerate(np.ndindex(start.shape)):
            forces = []
            for step in (displacement, -displacement):
                atoms.positions[place] = start[place] + step
                forces.append(atoms.get_forces().ravel())
            atoms.positions[place] = start[place]
            hessian[row] = (forces[1] - forces[0]) / (2 * displacement)
    finally:
        atoms.positions[:] = start
    if not np.isfinite(hessian).all():
        raise BrokenError('forces are not finite')
    weights = np.repeat(atoms.get_masses(), 3) ** -0.5
    inside = _projector(atoms, 1 / weights)
    squares, vectors = np.linalg.eigh(inside @ ((hessian + hessian.T) / 2 * np.outer(weights, weights)) @ inside)
    return np.sign(squares) * np.sqrt(np.abs(squares)), (vectors * weights[:, None]).T.reshape(-1, *start.shape)


def _projector(atoms: Atoms, roots: FloatArray) -> FloatArray:
    """Projection (3 n_atoms, 3 n_atoms) of mass-weighted vectors on what is no motion of the whole.

    A structure without periodicity rotates, too. ``roots`` (3 n_atoms,) are those of the masses.
    """
    axes = np.eye(3)
    motions = [np.tile(axis, len(atoms)) for axis in axes]
    if not atoms.pbc.any():
        arms = atoms.positions - atoms.get_center_of_mass()
        motions += [np.cross(axis, arms).ravel() for axis in axes]
    vectors, sizes, _ = np.linalg.svd((np.array(motions) * roots).T, full_matrices=False)
    # A molecule on a line has two rotations only.
    kept = vectors[:, sizes > 1e-6 * sizes[0]]
    return np.asarray(np.eye(len(roots)) - kept @ kept.T)


def variances(omega: FloatArray, temperature: float, statistics: str) -> FloatArray:
    """Variance of the normal coordinates (u Å²) of modes of angular frequency ``omega`` (ASE's 1/time) at so many K."""
    thermal = units.kB * temperature
    if statistics == 'classical':
        return np.asarray(thermal / omega**2)
    return np.asarray(HBAR / (2 * omega) / np.tanh(HBAR * omega / (2 * thermal)))


def _draw(
    atoms: Atoms, shapes: FloatArray, spreads: FloatArray, config: NormalModesConfig, rng: np.random.Generator
) -> Atoms:
    for _ in range(MAX_TRIES):
        frame = atoms.copy()
        frame.calc = atoms.calc
        frame.positions += np.tensordot(rng.normal(size=len(spreads)) * spreads, shapes, axes=1)
        if minimum_distance(frame) >= config.min_distance:
            return frame
    raise BrokenError(f'all {MAX_TRIES} tries of a frame gave two atoms too close: lower "temperature"')
