"""What samplers that watch the uncertainty of their frames share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from ase import Atoms

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.errors import shortened
from aiida_traincraft.science.sampling import SamplingRun, Watch
from aiida_traincraft.science.structure import Structure


class BrokenError(Exception):
    """The run left the realm of physics."""


@contextmanager
def breaking(run: SamplingRun, calculator: Any, watch: Watch | None) -> Iterator[None]:
    """Let what goes wrong inside end the run as ``broken``; the frames before are kept."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:
        reason = str(error) if isinstance(error, BrokenError) else f'{type(error).__name__}: {error}'
        run.end = f'broken: {shortened(reason)}'
    finally:
        if watch is not None and watch.uncertainty:
            calculator.with_uncertainty = False


def due(step: int, interval: int) -> bool:
    """Whether something that is done every so many steps (0: never) is done now."""
    return interval > 0 and step % interval == 0


def read_uncertainty(atoms: Atoms) -> FloatArray:
    """Uncertainty (n_atoms,) of the last calculation.

    Raises
    ------
    BrokenError
        If the calculator gave none.
    """
    value = atoms.calc.results.get('uncertainty')
    if value is None or np.shape(value) != (len(atoms),) or np.isnan(value).any():
        raise BrokenError(f'{type(atoms.calc).__name__} gave no usable uncertainty')
    return np.array(value, dtype=float)


def evaluate_uncertainty(atoms: Atoms, calculator: Any) -> FloatArray:
    """Uncertainty (n_atoms,) of atoms, by a calculation of its own; the calculator stays with the atoms.

    Raises
    ------
    BrokenError
        If the calculator gave none.
    """
    atoms.calc = calculator
    calculator.with_uncertainty = True
    # What is there may be of these atoms, but without their uncertainty.
    calculator.reset()
    atoms.get_potential_energy()
    uncertainty = read_uncertainty(atoms)
    calculator.with_uncertainty = False
    return uncertainty


def make_frame(atoms: Atoms, start: Structure, uncertainty: FloatArray | None, facts: dict[str, Any]) -> Structure:
    """Frame of a run: no calculator, no momenta; ``facts`` join the start's provenance.

    Energy (eV) and forces (eV/Å) of the last calculation are kept where it was of these very atoms: stages of the
    selection look at them, labels never come from them.
    """
    copy = atoms.copy()
    copy.calc = None
    copy.arrays.pop('momenta', None)
    current = atoms.calc is not None and not atoms.calc.check_state(atoms)
    results: dict[str, Any] = atoms.calc.results if current else {}
    properties: dict[str, Any] = {key: np.array(results[key]) for key in ('energy', 'forces') if key in results}
    if uncertainty is not None:
        properties['uncertainty'] = uncertainty
        if 'energy_spread' in atoms.calc.results:
            properties['energy_spread'] = float(atoms.calc.results['energy_spread'])
    return Structure(copy, properties, start.provenance | facts)


def judge(run: SamplingRun, watch: Watch, uncertainty: FloatArray) -> bool:
    """Note the largest uncertainty of a frame; whether the frame is one to keep. Sets the end where it is too large."""
    worst = float(uncertainty.max())
    run.max_uncertainty = max(worst, run.max_uncertainty or 0.0)
    if worst > watch.hi:
        run.end = 'halted'
    return worst > min(watch.lo, watch.hi)


def require_calculator(calculator: Any, watch: Watch | None, sampler: str) -> None:
    """Refuse a run without forces, or one that watches uncertainties that its calculator does not give.

    Raises
    ------
    ValueError
        With what is missing.
    """
    if calculator is None:
        raise ValueError(f'sampler "{sampler}" needs a calculator')
    if watch is not None and watch.uncertainty and not hasattr(calculator, 'with_uncertainty'):
        raise ValueError(f'{type(calculator).__name__} gives no uncertainty to watch: it has no "with_uncertainty"')
