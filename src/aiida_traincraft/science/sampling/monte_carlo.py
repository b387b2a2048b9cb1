"""Sampler ``monte_carlo``: Metropolis moves of atoms, molecules, species and the cell."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
from ase import Atoms, units
from pydantic import Field, model_validator

from aiida_traincraft.science.config.base import PluginConfig, StrictModel
from aiida_traincraft.science.distances import minimum_distance
from aiida_traincraft.science.fragments import get_fragments, unwrap
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.sampling import SamplingRun, Watch
from aiida_traincraft.science.sampling import moves as trial
from aiida_traincraft.science.sampling.recording import (
    BrokenError,
    breaking,
    due,
    evaluate_uncertainty,
    judge,
    make_frame,
    require_calculator,
)
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.workspace import Workspace

ADAPT_INTERVAL = 50
WANTED_ACCEPTANCE = 0.4


class Moves(StrictModel):
    """How often each kind of move is tried, relative to the others (no unit)."""

    translate: float = Field(default=0.0, ge=0)
    """A molecule, or an atom of a free framework, is shifted."""
    rotate: float = Field(default=0.0, ge=0)
    """A molecule is turned about its centre of mass."""
    conformer: float = Field(default=0.0, ge=0)
    """Part of a molecule is turned about a bond that is in no ring."""
    swap: float = Field(default=0.0, ge=0)
    """Two atoms of the framework of different elements exchange their places."""
    volume: float = Field(default=0.0, ge=0)
    """The cell grows or shrinks, with the molecules moved along as they are."""


class MonteCarloConfig(PluginConfig):
    """Metropolis Monte Carlo at constant temperature, and at constant pressure with volume moves."""

    needs_calculator: ClassVar[bool] = True
    type: Literal['monte_carlo'] = 'monte_carlo'
    temperature: float = Field(gt=0)
    """Temperature (K)."""
    steps: int = Field(default=1000, ge=1)
    """Moves tried, without the equilibration."""
    equilibration: int = Field(default=0, ge=0)
    """Moves before the first frame; only in them, step sizes adapt to an acceptance of 40 %."""
    n: int = Field(default=10, ge=1)
    """Frames, evenly spaced; an exploration, which keeps frames by their uncertainty, ignores it."""
    record: Literal['interval', 'accepted'] = 'interval'
    """Evenly spaced frames, or the first ``n`` accepted ones (not a sample of the ensemble)."""
    moves: Moves = Moves(translate=1.0)
    """Relative frequency of each kind of move."""
    framework: Literal['auto', 'free', 'fixed'] = 'auto'
    """Whether atoms that belong to no molecule may be shifted; ``auto``: where there are no molecules."""
    max_translation: float = Field(default=0.2, gt=0, le=10)
    """Largest shift along each axis (Å)."""
    max_rotation: float = Field(default=20.0, gt=0, le=180)
    """Largest rotation of a molecule (degrees)."""
    max_torsion: float = Field(default=40.0, gt=0, le=180)
    """Largest turn about a bond (degrees)."""
    max_ln_volume: float = Field(default=0.02, gt=0, le=1)
    """Largest change of the logarithm of the volume (no unit)."""
    pressure: float = Field(default=0.0, ge=-100, le=1000)
    """Pressure of volume moves (GPa)."""
    min_distance: float = Field(default=0.5, ge=0)
    """Moves that bring two atoms closer than this fraction of the sum of their covalent radii are refused."""

    @model_validator(mode='after')
    def _consistent(self) -> MonteCarloConfig:
        if not any(self.moves.model_dump().values()):
            raise ValueError('"moves" has no kind of move with a weight above 0')
        if self.n > self.steps:
            raise ValueError(f'"n" ({self.n} frames) is larger than "steps" ({self.steps})')
        return self


@register('sampler', 'monte_carlo', MonteCarloConfig)
def monte_carlo(
    structure: Structure,
    calculator: Any,
    workspace: Workspace | None,
    config: MonteCarloConfig,
    rng: np.random.Generator,
    watch: Watch | None,
) -> SamplingRun:
    """Metropolis Monte Carlo: rigid moves of molecules, torsions, swaps of species, moves of the cell.

    Molecules are the fragments of the atoms (``tc_fragment``), kept whole across the border of the cell. A move is
    accepted with probability min(1, exp(−(ΔU + pΔV)/kT + N ln(V'/V) + ln(V'/V))), N being the molecules and framework
    atoms and the last two terms being there for moves that are uniform in ln V (Frenkel and Smit, Understanding
    Molecular Simulation, 2nd ed., eq. 5.4.11); that keeps detailed balance. The acceptance of each kind stands in
    ``SamplingRun.acceptance`` and in the provenance of the frames.

    Raises
    ------
    ValueError
        If there is no calculator, one without uncertainties though they are to be watched, or a kind of move has
        nothing to move.

    Examples
    --------
    .. code-block:: toml

        [builder]
        type = "alloy"
        name = "Cu"
        a = 3.8
        cubic = true
        repeat = [2, 2, 2]
        composition = { Cu = 0.5, Au = 0.5 }

        [calculator]
        type = "emt"

        [sampling]
        type = "monte_carlo"
        temperature = 600.0
        steps = 100
        moves = { translate = 1.0, swap = 1.0 }
        n = 5
    """
    require_calculator(calculator, watch, 'monte_carlo')
    atoms = unwrap(structure.atoms)
    run = SamplingRun()
    walk = _Walk(atoms, calculator, config, rng)
    with breaking(run, calculator, watch):
        _propagate(walk, structure, config, watch, run)
    run.acceptance = walk.acceptance()
    for frame in run.frames:
        frame.provenance['acceptance'] = run.acceptance
    return run


class _Walk:
    """The chain: the present state, its energy, and how often each kind of move was tried and accepted."""

    def __init__(self, atoms: Atoms, calculator: Any, config: MonteCarloConfig, rng: np.random.Generator) -> None:
        self.config, self.rng, self.calculator = config, rng, calculator
        fragments = get_fragments(atoms)
        free = config.framework == 'free' or (config.framework == 'auto' and bool((fragments < 0).all()))
        self.units = trial.movable_units(atoms, free)
        self.scaled = trial.movable_units(atoms, True)
        self.rotors = [unit for unit in self.units if len(unit) > 1]
        self.bonds = trial.torsions(atoms) if config.moves.conformer else []
        self.swappable = np.flatnonzero(fragments < 0)
        self.sizes = {
            'translate': config.max_translation,
            'rotate': config.max_rotation,
            'conformer': config.max_torsion,
            'volume': config.max_ln_volume,
        }
        self._check(atoms)
        weights = {kind: weight for kind, weight in config.moves.model_dump().items() if weight}
        self.kinds = list(weights)
        self.weights = np.array(list(weights.values())) / sum(weights.values())
        self.tried: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self.recent: Counter[tuple[str, bool]] = Counter()
        self.atoms = atoms
        self.atoms.calc = calculator
        self.energy: float | None = None

    def _check(self, atoms: Atoms) -> None:
        nothing = {
            'translate': not self.units,
            'rotate': not self.rotors,
            'conformer': not self.bonds,
            'swap': len(set(atoms.numbers[self.swappable].tolist())) < 2,
            'volume': not atoms.pbc.all(),
        }
        why = {
            'translate': 'there is nothing that may move: framework = "free" frees the atoms of the framework',
            'rotate': 'there is no molecule of several atoms (fragments are set by builders, or inferred by a source)',
            'conformer': 'no molecule has a bond to turn about',
            'swap': 'the framework has atoms of one element only',
            'volume': 'the cell is not periodic in all directions',
        }
        for kind, weight in self.config.moves.model_dump().items():
            if weight and nothing[kind]:
                raise ValueError(f'"moves" has {kind} = {weight}, but {why[kind]}')

    def step(self) -> bool:
        """Try one move; whether it was accepted."""
        if self.energy is None:
            self.energy = self._finite(self.atoms.get_potential_energy())
        kind = self.kinds[self.rng.choice(len(self.kinds), p=self.weights)]
        self.tried[kind] += 1
        state = self.atoms.copy()
        change = self._propose(kind, state)
        accepted = False
        limit = self.config.min_distance
        if limit == 0 or minimum_distance(state) >= limit:
            state.calc = self.calculator
            energy = self._finite(state.get_potential_energy())
            exponent = -(energy - self.energy) / (units.kB * self.config.temperature)
            if kind == 'volume':
                growth = state.get_volume() - self.atoms.get_volume()
                exponent -= self.config.pressure * units.GPa * growth / (units.kB * self.config.temperature)
                exponent += (len(self.scaled) + 1) * change
            accepted = bool(np.log(1.0 - self.rng.random()) < exponent)
            if accepted:
                self.atoms, self.energy = state, energy
        self.accepted[kind] += accepted
        self.recent[kind, accepted] += 1
        return accepted

    def _propose(self, kind: str, state: Atoms) -> float:
        """Change a state; Δ ln V of a move of the cell, else 0."""
        if kind == 'swap':
            trial.swap(state, self.swappable, self.rng)
            return 0.0
        size = self.sizes[kind]
        if kind == 'volume':
            return trial.scale_volume(state, self.scaled, size, self.rng)
        propose: dict[str, tuple[Callable[..., None], Any]] = {
            'translate': (trial.translate, self.units),
            'rotate': (trial.rotate, self.rotors),
            'conformer': (trial.turn_bond, self.bonds),
        }
        move, what = propose[kind]
        move(state, what, size, self.rng)
        return 0.0

    def adapt(self) -> None:
        """Make steps larger where most are accepted, smaller where few are."""
        for kind, size in self.sizes.items():
            yes, no = self.recent[kind, True], self.recent[kind, False]
            if yes + no:
                largest = {'translate': 10.0, 'rotate': 180.0, 'conformer': 180.0, 'volume': 1.0}[kind]
                self.sizes[kind] = min(largest, size * np.clip(yes / (yes + no) / WANTED_ACCEPTANCE, 0.5, 2.0))
        self.recent.clear()

    def acceptance(self) -> dict[str, float]:
        """Part of the moves of each kind that were accepted."""
        return {kind: round(self.accepted[kind] / self.tried[kind], 4) for kind in self.kinds if self.tried[kind]}

    @staticmethod
    def _finite(energy: float) -> float:
        if not np.isfinite(energy):
            raise BrokenError('the energy is not finite')
        return float(energy)


def _propagate(walk: _Walk, start: Structure, config: MonteCarloConfig, watch: Watch | None, run: SamplingRun) -> None:
    watching = watch if watch is not None and watch.uncertainty else None
    total = config.equilibration + config.steps
    spaced = {config.equilibration + round(config.steps * k / config.n) for k in range(1, config.n + 1)}
    for step in range(1, total + 1):
        accepted = walk.step()
        run.steps = step
        if step <= config.equilibration:
            if step % ADAPT_INTERVAL == 0:
                walk.adapt()
            if step == config.equilibration:
                walk.tried.clear()
                walk.accepted.clear()
        if watching is not None:
            recorded = due(step, watching.record_interval)
        elif config.record == 'accepted':
            recorded = accepted and step > config.equilibration and len(run.frames) < config.n
        else:
            recorded = step in spaced
        checked = watching is not None and (recorded or due(step, watching.check_interval))
        uncertainty = None
        if checked:
            uncertainty = evaluate_uncertainty(walk.atoms, walk.calculator)
        candidate = watching is not None and uncertainty is not None and judge(run, watching, uncertainty)
        if recorded or candidate:
            facts = {'step': step, 'temperature': config.temperature}
            run.frames.append(make_frame(walk.atoms, start, uncertainty, facts))
        if run.end == 'halted':
            return
        if watch is not None and watch.deadline is not None and time.monotonic() > watch.deadline and step < total:
            run.end = 'walltime'
            return
