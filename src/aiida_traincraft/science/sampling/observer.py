"""Eyes of samplers that take steps: guards, the uncertainty, the deadline, and which frames are kept."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from ase import Atoms

from aiida_traincraft.science.atoms.distances import minimum_distance
from aiida_traincraft.science.sampling import SamplingRun, Watch
from aiida_traincraft.science.sampling.recording import BrokenError, due, evaluate_uncertainty, judge, make_frame
from aiida_traincraft.science.structure import Structure

DISTANCE_INTERVAL = 10


class Observer:
    """Looks at the atoms after every step of a run, and adds frames to it.

    Parameters
    ----------
    run
        The run that frames are added to.
    start
        Whose provenance the frames take.
    watch
        What to look out for.
    min_distance
        The run breaks when two atoms are closer than this fraction of the sum of their covalent radii.
    """

    def __init__(self, run: SamplingRun, start: Structure, watch: Watch | None, min_distance: float) -> None:
        self.run, self.start, self.watch, self.min_distance = run, start, watch, min_distance
        self.watching = watch if watch is not None and watch.uncertainty else None

    def see(
        self,
        atoms: Atoms,
        step: int,
        wanted: bool,
        facts: dict[str, Any],
        last: bool = False,
        independent: bool = False,
    ) -> bool:
        """Look at a step, and say whether the run goes on.

        Parameters
        ----------
        atoms
            The atoms, with their calculator.
        step
            Number of the step; 0 is the start.
        wanted
            Whether the frame is kept where no uncertainties are watched.
        facts
            Join the provenance of the frame.
        last
            Whether no step follows: it is too late for the deadline.
        independent
            Whether the frame has nothing to do with the one before: its uncertainty is then looked at always.

        Raises
        ------
        BrokenError
            If the atoms left the realm of physics.
        """
        self.run.steps = step
        watching = self.watching
        kept = due(step, watching.record_interval) and step > 0 if watching is not None else wanted
        checked = watching is not None and (kept or independent or due(step, watching.check_interval))
        self._guard(atoms, step, kept or checked)
        uncertainty = None
        if watching is not None and checked:
            uncertainty = evaluate_uncertainty(atoms, atoms.calc)
            kept = judge(self.run, watching, uncertainty) or kept
        if kept:
            self.run.frames.append(make_frame(atoms, self.start, uncertainty, {'step': step} | facts))
        if self.run.end == 'halted':
            return False
        deadline = None if self.watch is None else self.watch.deadline
        if deadline is not None and time.monotonic() > deadline and not last:
            self.run.end = 'walltime'
            return False
        return not last

    def _guard(self, atoms: Atoms, step: int, kept: bool) -> None:
        if not np.isfinite(atoms.positions).all() or not np.isfinite(atoms.cell.array).all():
            raise BrokenError(f'positions are not finite at step {step}')
        forces = atoms.calc.results.get('forces')
        if forces is not None and not np.isfinite(forces).all():
            raise BrokenError(f'forces are not finite at step {step}')
        if kept or due(step, DISTANCE_INTERVAL):
            closest = minimum_distance(atoms)
            if closest < self.min_distance:
                raise BrokenError(f'two atoms come as close as {closest:.2f} of their covalent radii at step {step}')
