"""Draw structures around a start: by random displacement, or by dynamics that may watch its own uncertainty."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from aiida_traincraft.science import registry
from aiida_traincraft.science.config.kinds import SamplerConfig
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.workspace import Workspace


@dataclass(frozen=True)
class Watch:
    """What a run looks out for.

    The calculator of a run that watches its uncertainty has a boolean attribute ``with_uncertainty``; in a calculation
    made while it is True, ``results['uncertainty']`` (n_atoms,) is written too, and by a committee
    ``results['energy_spread']`` (eV/atom).
    """

    lo: float = float('inf')
    """A frame whose largest uncertainty is above this is kept."""
    hi: float = float('inf')
    """The run halts at a frame whose largest uncertainty is above this; that frame is kept."""
    check_interval: int = 0
    """Steps between two evaluations of the uncertainty; 0 asks for none and leaves only the deadline."""
    record_interval: int = 0
    """Steps between two frames kept whatever their uncertainty; 0 keeps none."""
    deadline: float | None = None
    """Value of ``time.monotonic()`` (s) after which the run ends."""

    @property
    def uncertainty(self) -> bool:
        """Whether uncertainties are asked for."""
        return self.check_interval > 0


@dataclass
class SamplingRun:
    """Frames of one run, and how it ended."""

    frames: list[Structure] = field(default_factory=list)
    """In order; ``properties['uncertainty']`` (n_atoms,) where it was asked for, and ``energy_spread`` (eV/atom) of a
    committee."""
    end: str = 'finished'
    """``finished``, ``halted`` (too uncertain), ``walltime`` or ``broken: <reason>``."""
    steps: int = 0
    """Steps done."""
    max_uncertainty: float | None = None
    """Largest uncertainty of an atom seen, kept or not."""
    acceptance: dict[str, float] = field(default_factory=dict)
    """Part of the moves of each kind that Monte Carlo accepted."""


def sample(
    structure: Structure,
    calculator: Any,
    workspace: Workspace | None,
    config: SamplerConfig,
    seed: int = 0,
    watch: Watch | None = None,
) -> SamplingRun:
    """Run one sampler.

    Parameters
    ----------
    structure
        The start; it is left as it is. Constraints are not obeyed.
    calculator
        ASE calculator; None for samplers that need none.
    workspace
        Folder for a sampler's own files.
    config
        A registered sampler's config.
    seed
        Seed of all randomness.
    watch
        What to look out for; None takes evenly spaced frames.

    Returns
    -------
    SamplingRun
        Each frame has the start's provenance, updated with the sampler, the seed and what the sampler adds.

    Raises
    ------
    ValueError
        If the sampler cannot do what the config asks; never for dynamics that blow up.
    """
    start = structure.bare()
    start.atoms.set_constraint()
    start.provenance |= {'sampler': config.type, 'seed': seed}
    function = registry.get('sampler', config.type).function
    return cast(SamplingRun, function(start, calculator, workspace, config, np.random.default_rng(seed), watch))


def run_sampling(
    structure: Structure, calculator: Any, workspace: Workspace | None, config: SamplerConfig, seed: int = 0
) -> list[Structure]:
    """Frames of :func:`sample` without a watch."""
    return sample(structure, calculator, workspace, config, seed).frames
