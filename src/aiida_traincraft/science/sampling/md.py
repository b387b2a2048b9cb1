"""Sampler ``md``: Langevin dynamics at constant volume or pressure, with guards and an eye on the uncertainty."""

from __future__ import annotations

import time
import warnings
from typing import Any, ClassVar, Literal

import numpy as np
from ase import Atoms, units
from ase.md.langevinbaoab import LangevinBAOAB
from pydantic import Field, model_validator

from aiida_traincraft.science.atoms.distances import minimum_distance
from aiida_traincraft.science.config.kinds import SamplerConfig
from aiida_traincraft.science.geometry.transforms.strain import deform, random_strain
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.sampling import SamplingRun, Watch
from aiida_traincraft.science.sampling.recording import (
    BrokenError,
    breaking,
    due,
    judge,
    make_frame,
    read_uncertainty,
    require_calculator,
)
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.workspace import Workspace

DISTANCE_INTERVAL = 10


class MdConfig(SamplerConfig):
    """Langevin dynamics at constant volume or constant pressure (BAOAB splitting)."""

    aliases: ClassVar[tuple[str, ...]] = ('dynamics', 'molecular_dynamics', 'nve', 'nvt', 'npt', 'langevin')
    needs_calculator: ClassVar[bool] = True
    type: Literal['md'] = 'md'
    temperature: float | None = Field(default=None, gt=0, le=100_000)
    """Temperature (K)."""
    temperature_start: float | None = Field(default=None, gt=0, le=100_000)
    """Temperature at the start of a linear ramp (K), in place of ``temperature``."""
    temperature_end: float | None = Field(default=None, gt=0, le=100_000)
    """Temperature at its end (K)."""
    timestep: float = Field(default=2.0, ge=0.01, le=20)
    """Time step (fs)."""
    friction: float = Field(default=10.0, ge=0.001, le=10_000)
    """Friction of the thermostat (1/ps)."""
    steps: int = Field(default=1000, ge=1)
    """Steps, without the equilibration."""
    equilibration: int = Field(default=0, ge=0)
    """Steps before the first frame, at the (first) temperature."""
    n: int = Field(default=10, ge=1)
    """Frames, evenly spaced; an exploration, which keeps frames by their uncertainty, ignores it."""
    strain: float = Field(default=0.0, ge=0, lt=0.5)
    """Each of the six components of a random strain of the start is uniform in [-strain, strain]."""
    min_distance: float = Field(default=0.6, ge=0)
    """The run ends when two atoms are closer than this fraction of the sum of their covalent radii."""
    ensemble: Literal['nvt', 'npt'] = 'nvt'
    """Constant volume, or constant pressure."""
    pressure: float = Field(default=0.0, ge=-100, le=1000)
    """Pressure (GPa) of ``npt``."""
    barostat: float = Field(default=1000.0, ge=1, le=1_000_000)
    """Time (fs) in which the cell responds, in ``npt``."""
    cell: Literal['hydrostatic', 'full'] = 'hydrostatic'
    """Whether ``npt`` scales the cell alone, or lets its shape change too (for solids only)."""
    max_volume_change: float = Field(default=2.0, gt=1)
    """The run ends when the volume has grown or shrunk by more than this factor (no unit), in ``npt``."""

    @model_validator(mode='after')
    def _consistent(self) -> MdConfig:
        ramp = (self.temperature_start, self.temperature_end)
        if (self.temperature is None) == (ramp == (None, None)):
            raise ValueError('give either "temperature", or "temperature_start" and "temperature_end"')
        if self.temperature is None and None in ramp:
            raise ValueError('"temperature_start" and "temperature_end" go together')
        if self.n > self.steps:
            raise ValueError(f'"n" ({self.n} frames) is larger than "steps" ({self.steps})')
        keys = ('pressure', 'barostat', 'cell', 'max_volume_change')
        unused = [f'"{key}"' for key in keys if getattr(self, key) != type(self).model_fields[key].default]
        if self.ensemble == 'nvt' and unused:
            raise ValueError(f'{", ".join(unused)} is for ensemble = "npt" only')
        return self

    @property
    def stress_key(self) -> str | None:
        """Key that asks for the stress."""
        return 'ensemble' if self.ensemble == 'npt' else None

    def target(self, step: int) -> float:
        """Temperature (K) of the thermostat at a step, the equilibration included."""
        if self.temperature is not None:
            return self.temperature
        assert self.temperature_start is not None
        assert self.temperature_end is not None
        done = max(0, step - self.equilibration) / self.steps
        return self.temperature_start + (self.temperature_end - self.temperature_start) * done


@register('sampler', 'md', MdConfig)
def md(
    structure: Structure,
    calculator: Any,
    workspace: Workspace | None,
    config: MdConfig,
    rng: np.random.Generator,
    watch: Watch | None,
) -> SamplingRun:
    """Langevin dynamics at constant volume (Leimkuhler and Matthews, J. Chem. Phys. 138, 174102 (2013)) or pressure.

    At constant pressure, the mean of the pressure that includes the kinetic part is the one asked for (Quigley and
    Probert, J. Chem. Phys. 120, 11432 (2004)).

    Without uncertainties to watch, ``n`` evenly spaced frames are kept. With them, the whole run (equilibration
    included) is watched, and frames are kept as the watch says. Dynamics that blow up, or a calculator that fails, end
    the run as ``broken``; the frames before are kept.

    Raises
    ------
    ValueError
        If there is no calculator, one without uncertainties though they are to be watched, or, at constant pressure,
        one without stress or a cell that is not periodic in all directions.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "crystal"
        name = "Cu"
        cubic = true

        [[transforms]]
        type = "supercell"
        repeat = [2, 2, 2]

        [calculator]
        type = "emt"

        [sampling]
        type = "md"
        ensemble = "npt"
        temperature = 500.0
        pressure = 1.0
        timestep = 4.0
        steps = 60
        n = 4
    """
    require_calculator(calculator, watch, 'md')
    _check_barostat(structure.atoms, calculator, config)
    run = SamplingRun()
    atoms = deform(structure.atoms, np.eye(3) + random_strain(rng, config.strain))
    # The Maxwell-Boltzmann distribution; ASE's function for it changed its name between the versions allowed.
    spread = np.sqrt(atoms.get_masses() * units.kB * config.target(0))
    atoms.set_momenta(rng.normal(size=atoms.positions.shape) * spread[:, None])
    atoms.calc = calculator
    with breaking(run, calculator, watch):
        _propagate(atoms, structure, config, rng, watch, run)
    return run


def _propagate(
    atoms: Atoms,
    start: Structure,
    config: MdConfig,
    rng: np.random.Generator,
    watch: Watch | None,
    run: SamplingRun,
) -> None:
    watching = watch if watch is not None and watch.uncertainty else None
    total = config.equilibration + config.steps
    spaced = {config.equilibration + round(config.steps * k / config.n) for k in range(1, config.n + 1)}
    dynamics: LangevinBAOAB | None = None
    volume = atoms.get_volume() if config.ensemble == 'npt' else None
    for step in range(total + 1):
        recorded = due(step, watching.record_interval) and step > 0 if watching else step in spaced
        checked = watching is not None and (recorded or due(step, watching.check_interval))
        if watching:
            # Set before the one force call of this step, so that no step is calculated twice.
            atoms.calc.with_uncertainty = checked
        if dynamics is None:
            dynamics = _dynamics(atoms, config, rng)
        else:
            dynamics.set_temperature(config.target(step))
            dynamics.step()
        run.steps = step
        temperature = _guard(atoms, config, step, recorded or checked, volume)
        uncertainty = read_uncertainty(atoms) if checked else None
        candidate = watching is not None and uncertainty is not None and judge(run, watching, uncertainty)
        if recorded or candidate:
            facts = {'step': step, 'temperature': round(temperature, 2)}
            run.frames.append(make_frame(atoms, start, uncertainty, facts))
        if run.end == 'halted':
            return
        if watch is not None and watch.deadline is not None and time.monotonic() > watch.deadline and step < total:
            run.end = 'walltime'
            return


def _check_barostat(atoms: Atoms, calculator: Any, config: MdConfig) -> None:
    if config.ensemble == 'nvt':
        return
    if not atoms.pbc.all() or atoms.cell.rank < 3:
        raise ValueError(f'ensemble = "npt" needs a cell that is periodic in all directions, not {atoms.pbc.tolist()}')
    if 'stress' not in calculator.implemented_properties:
        raise ValueError(f'ensemble = "npt" needs the stress, and {type(calculator).__name__} gives none: use "nvt"')


def _dynamics(atoms: Atoms, config: MdConfig, rng: np.random.Generator) -> LangevinBAOAB:
    barostat: dict[str, Any] = {}
    if config.ensemble == 'npt':
        barostat = {
            'externalstress': -config.pressure * units.GPa,
            'hydrostatic': config.cell == 'hydrostatic',
            'P_tau': config.barostat * units.fs,
        }
    with warnings.catch_warnings():
        # ASE announces that it estimates the mass of the barostat from its time.
        warnings.filterwarnings('ignore', message='Using heuristic P_mass')
        return LangevinBAOAB(
            atoms,
            config.timestep * units.fs,
            temperature_K=config.target(0),
            T_tau=1000.0 * units.fs / config.friction,
            rng=rng,
            **barostat,
        )


def _guard(atoms: Atoms, config: MdConfig, step: int, kept: bool, volume: float | None) -> float:
    """Temperature (K) of a step that makes physical sense."""
    if not np.isfinite(atoms.positions).all():
        raise BrokenError(f'positions are not finite at step {step}')
    if not np.isfinite(atoms.get_forces()).all():
        raise BrokenError(f'forces are not finite at step {step}')
    temperature, target = float(atoms.get_temperature()), config.target(step)
    if not temperature <= 10.0 * target + 1000.0:
        raise BrokenError(f'the temperature is {temperature:.0f} K at step {step} where {target:.0f} K is wanted')
    if volume is not None:
        change = float(atoms.get_volume() / volume)
        if not 1.0 / config.max_volume_change <= change <= config.max_volume_change:
            raise BrokenError(f'the volume is {change:.2f} times that of the start at step {step}')
    if kept or due(step, DISTANCE_INTERVAL):
        closest = minimum_distance(atoms)
        if closest < config.min_distance:
            raise BrokenError(f'two atoms come as close as {closest:.2f} of their covalent radii at step {step}')
    return temperature
