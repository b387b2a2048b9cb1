"""Sampler ``monte_carlo``: Metropolis moves of atoms, molecules, species and the cell; exchange with a reservoir."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
from ase import Atoms, units
from pydantic import Field, model_validator

from aiida_traincraft.science.atoms.distances import minimum_distance
from aiida_traincraft.science.atoms.fragments import get_fragments, unwrap
from aiida_traincraft.science.config.base import StrictModel
from aiida_traincraft.science.config.kinds import SamplerConfig
from aiida_traincraft.science.geometry.species import make_species
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.sampling import SamplingRun, Watch
from aiida_traincraft.science.sampling import moves as trial
from aiida_traincraft.science.sampling.exchange import Exchange, Reservoir
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
    exchange: float = Field(default=0.0, ge=0)
    """A molecule of the reservoir is inserted, or one of its species is deleted, half of the times each."""


class MonteCarloConfig(SamplerConfig):
    """Metropolis Monte Carlo at constant temperature, and at constant pressure or fugacity with the moves for it."""

    aliases: ClassVar[tuple[str, ...]] = ('mc',)
    needs_calculator: ClassVar[bool] = True
    type: Literal['monte_carlo'] = 'monte_carlo'
    temperature: float = Field(gt=0, le=100_000)
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
    """Whether atoms of no molecule may be shifted; ``auto``: where there are no molecules and none are exchanged."""
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
    reservoir: Reservoir | None = None
    """What molecules are exchanged with."""
    min_distance: float = Field(default=0.5, ge=0)
    """Moves that bring two atoms closer than this fraction of the sum of their covalent radii are refused."""

    def added_elements(self) -> frozenset[str]:
        """Elements of the molecules that may come from the reservoir."""
        if self.reservoir is None:
            return frozenset()
        return frozenset(make_species(self.reservoir, np.random.default_rng(0)).get_chemical_symbols())

    @model_validator(mode='after')
    def _consistent(self) -> MonteCarloConfig:
        if not any(self.moves.model_dump().values()):
            raise ValueError('"moves" has no kind of move with a weight above 0')
        if self.moves.exchange and self.reservoir is None:
            raise ValueError(f'"moves" has exchange = {self.moves.exchange}, but there is no "reservoir"')
        if self.reservoir is not None and not self.moves.exchange:
            raise ValueError('"reservoir" is given, but "moves" has no exchange')
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
    """Metropolis Monte Carlo: moves of molecules, torsions, swaps, volume, exchange of molecules with a reservoir.

    Molecules are the fragments of the atoms (``tc_fragment``), kept whole across the border of the cell. A move is
    accepted with probability min(1, exp(−(ΔU + pΔV)/kT + N ln(V'/V) + ln(V'/V))), N being the molecules and framework
    atoms and the last two terms being there for moves that are uniform in ln V (Frenkel and Smit, Understanding
    Molecular Simulation, 2nd ed., eq. 5.4.11); that keeps detailed balance. The acceptance of each kind stands in
    ``SamplingRun.acceptance`` and in the provenance of the frames.

    With ``exchange``, the number N of molecules of a species varies as in equilibrium with an ideal gas of it at the
    fugacity f (grand canonical ensemble). Insertions are accepted with probability
    min(1, βfV/(N + 1) exp(−β(ΔU − E))), deletions with min(1, N/(βfV) exp(−β(ΔU + E))), β being 1/kT and V the volume
    of the whole cell, the vacuum of a slab included (ibid., eqs. 5.6.8 and 5.6.9 with exp(βμ)/Λ³ = βf: the chemical
    potential is μ = kT ln(βfΛ³), Λ being the thermal wavelength). E is the energy of the isolated molecule, calculated
    once without periodicity: the molecules of the gas are rigid, all in the geometry that is inserted, and
    ``conformer`` leaves those of the species alone. Molecules of the start are of the species where their composition
    is. Their centres cannot leave the cell along directions without periodicity. N stays from 0 to ``max_molecules``
    and some atom always remains; what is refused for that counts as tried. Acceptance is told of ``insert`` and
    ``delete``.

    Raises
    ------
    ValueError
        If there is no calculator, one without uncertainties though they are to be watched, a kind of move has nothing
        to move, or molecules cannot be exchanged (see :class:`~aiida_traincraft.science.sampling.exchange.Exchange`).

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
        reservoir = config.reservoir
        self.exchange = None if reservoir is None else Exchange(atoms, reservoir, config.temperature, rng)
        alone = self.exchange is None and bool((fragments < 0).all())
        self.free = config.framework == 'free' or (config.framework == 'auto' and alone)
        self._survey(atoms)
        self.bonds = self._torsions(atoms) if config.moves.conformer else []
        self.sizes = {
            'translate': config.max_translation,
            'rotate': config.max_rotation,
            'conformer': config.max_torsion,
            'volume': config.max_ln_volume,
        }
        self._check(atoms)
        weights = {kind: weight for kind, weight in config.moves.model_dump().items() if weight}
        self.kinds = list(weights)
        self.told = [name for kind in weights for name in (('insert', 'delete') if kind == 'exchange' else (kind,))]
        self.weights = np.array(list(weights.values())) / sum(weights.values())
        self.tried: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self.recent: Counter[tuple[str, bool]] = Counter()
        self.atoms = atoms
        self.atoms.calc = calculator
        self.energy: float | None = None

    def _survey(self, atoms: Atoms) -> None:
        """Find what moves as a whole."""
        self.units = trial.movable_units(atoms, self.free)
        self.scaled = trial.movable_units(atoms, True)
        self.rotors = [unit for unit in self.units if len(unit) > 1]
        self.swappable = np.flatnonzero(get_fragments(atoms) < 0)

    def _torsions(self, atoms: Atoms) -> list[trial.Torsion]:
        """Bonds to turn about; molecules of the reservoir are rigid."""
        rigid = [] if self.exchange is None else self.exchange.exchanged(atoms).tolist()
        return [bond for bond in trial.torsions(atoms) if bond.fixed not in rigid]

    def _check(self, atoms: Atoms) -> None:
        # Molecules that may be inserted move later.
        guest = 0 if self.exchange is None else len(self.exchange.guest)
        nothing = {
            'translate': not self.units and guest == 0,
            'rotate': not self.rotors and guest < 2,
            'conformer': not self.bonds,
            'swap': len(set(atoms.numbers[self.swappable].tolist())) < 2,
            'volume': not atoms.pbc.all(),
            'exchange': False,
        }
        why = {
            'translate': 'there is nothing that may move: framework = "free" frees the atoms of the framework',
            'rotate': 'there is no molecule of several atoms (fragments are set by builders, or inferred by a source)',
            'conformer': 'no molecule has a bond to turn about (those that are exchanged are rigid)',
            'swap': 'the framework has atoms of one element only',
            'volume': 'the cell is not periodic in all directions',
        }
        for kind, weight in self.config.moves.model_dump().items():
            if weight and nothing[kind]:
                raise ValueError(f'"moves" has {kind} = {weight}, but {why[kind]}')
        if self.exchange is not None and self.config.moves.volume and len(self.exchange.exchanged(atoms)) == len(atoms):
            raise ValueError(
                '"moves" has volume and exchange, but all there is is exchanged: temperature, pressure and fugacity '
                'do not set the size of the cell'
            )

    def step(self) -> bool:
        """Try one move; whether it was accepted."""
        if self.energy is None:
            self.energy = self._finite(self.atoms.get_potential_energy())
        kind = self.kinds[self.rng.choice(len(self.kinds), p=self.weights)]
        if kind == 'exchange':
            kind = 'insert' if self.rng.random() < 0.5 else 'delete'
        self.tried[kind] += 1
        state = self.atoms.copy()
        weight = self._propose(kind, state)
        accepted = weight is not None and self._allowed(state) and self._decide(kind, state, self.energy, weight)
        self.accepted[kind] += accepted
        self.recent[kind, accepted] += 1
        return accepted

    def _allowed(self, state: Atoms) -> bool:
        limit = self.config.min_distance
        apart = limit == 0 or minimum_distance(state) >= limit
        return apart and (self.exchange is None or self.exchange.inside(state))

    def _decide(self, kind: str, state: Atoms, before: float, weight: float) -> bool:
        """Go on to a state from one of the energy ``before`` (eV), or stay, by Boltzmann's factor and exp(weight)."""
        state.calc = self.calculator
        energy = self._finite(state.get_potential_energy())
        exponent = -(energy - before) / (units.kB * self.config.temperature) + weight
        accepted = bool(np.log(1.0 - self.rng.random()) < exponent)
        if accepted:
            if self.exchange is not None and kind in ('insert', 'delete'):
                places = self.exchange.accept(self.atoms, state)
                self._survey(state)
                self.bonds = [bond.moved(places) for bond in self.bonds]
            self.atoms, self.energy = state, energy
        return accepted

    def _propose(self, kind: str, state: Atoms) -> float | None:
        """Change a state; the logarithm of the factor beside Boltzmann's, None where nothing can be done."""
        if self.exchange is not None and kind in ('insert', 'delete'):
            change = self.exchange.insert if kind == 'insert' else self.exchange.delete
            return change(state, self.calculator, self.rng)
        if kind == 'swap':
            trial.swap(state, self.swappable, self.rng)
            return 0.0
        size = self.sizes[kind]
        if kind == 'volume':
            grown = trial.scale_volume(state, self.scaled, size, self.rng)
            growth = state.get_volume() - self.atoms.get_volume()
            work = self.config.pressure * units.GPa * growth
            return float((len(self.scaled) + 1) * grown - work / (units.kB * self.config.temperature))
        propose: dict[str, tuple[Callable[..., None], Any]] = {
            'translate': (trial.translate, self.units),
            'rotate': (trial.rotate, self.rotors),
            'conformer': (trial.turn_bond, self.bonds),
        }
        move, what = propose[kind]
        if not what:
            return None
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
        return {kind: round(self.accepted[kind] / self.tried[kind], 4) for kind in self.told if self.tried[kind]}

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
