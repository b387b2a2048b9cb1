"""Errors of a potential on a labelled dataset: overall, per element, per system, and per structure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.calculators.calculator import Calculator

from aiida_traincraft.science.structure import Structure

FloatArray = npt.NDArray[np.float64]

UNITS = {'energy': 'eV/atom', 'forces': 'eV/Å', 'stress': 'eV/Å³'}


@dataclass(frozen=True)
class _Difference:
    """Prediction minus label of one structure; energy per atom."""

    structure: Structure
    energy: FloatArray
    forces: FloatArray
    stress: FloatArray
    gamma: FloatArray | None


def evaluate(
    structures: Sequence[Structure],
    calculator: Calculator,
    with_uncertainty: bool = False,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Compare a calculator with labels.

    Parameters
    ----------
    structures
        With ``energy`` (eV), ``forces`` (eV/Å) and, if known, ``stress`` (eV/Å³); ``provenance["system"]`` groups.
    calculator
        ASE calculator; with ``with_uncertainty`` it must have that attribute and write ``results["uncertainty"]``.
    with_uncertainty
        Whether to give the largest extrapolation grade of each structure.
    report
        Takes one line of progress at a time.

    Returns
    -------
    dict
        JSON-serialisable, None where a number is not defined. ``overall``: for energy (eV/atom), forces (component,
        eV/Å) and stress (component, eV/Å³) a table of ``rmse``, ``mae``, ``max`` and ``n`` (numbers compared);
        ``per_element``: the same for forces; ``per_system``: the same for all; ``rows``: one per structure in order,
        ``status`` "ok" or "failed" with its ``reason``; ``n_failed``; ``units``.
    """
    rows: list[dict[str, Any]] = []
    differences: list[_Difference] = []
    for index, structure in enumerate(structures):
        row: dict[str, Any] = {
            'index': index,
            'status': 'ok',
            'reason': None,
            'system': structure.provenance.get('system'),
            'formula': structure.formula,
            'n_atoms': len(structure),
        }
        try:
            difference = _difference(structure, calculator, with_uncertainty)
        except Exception as error:
            # Whatever the calculator objects to, the other structures count.
            row |= {'status': 'failed', 'reason': f'{type(error).__name__}: {error}'}
            report(f'structure {index} ({structure.formula}) failed: {row["reason"]}')
        else:
            row |= _row(difference)
            differences.append(difference)
        rows.append(row)
    systems = sorted({str(item.structure.provenance['system']) for item in differences if _system(item) is not None})
    return {
        'units': UNITS,
        'overall': _summary(differences),
        'per_element': _per_element(differences),
        'per_system': {name: _summary([item for item in differences if _system(item) == name]) for name in systems},
        'rows': rows,
        'n_failed': len(rows) - len(differences),
    }


def _system(item: _Difference) -> str | None:
    name = item.structure.provenance.get('system')
    return None if name is None else str(name)


def _difference(structure: Structure, calculator: Calculator, with_uncertainty: bool) -> _Difference:
    atoms, labels = structure.atoms.copy(), structure.properties
    if with_uncertainty:
        calculator.with_uncertainty = True
    atoms.calc = calculator
    forces = np.asarray(atoms.get_forces(), float)
    energy = float(atoms.get_potential_energy())
    stress = np.asarray(atoms.get_stress(), float) if 'stress' in labels else np.empty(0)
    if not (np.isfinite(forces).all() and np.isfinite(energy) and np.isfinite(stress).all()):
        raise ValueError('the potential gave numbers that are not finite')
    result = _Difference(
        structure=structure,
        energy=np.array([(energy - float(labels['energy'])) / len(atoms)]),
        forces=forces - np.asarray(labels['forces'], float),
        stress=stress - np.asarray(labels['stress'], float) if len(stress) else stress,
        gamma=np.asarray(calculator.results['uncertainty'], float) if with_uncertainty else None,
    )
    if not all(np.isfinite(part).all() for part in (result.energy, result.forces, result.stress)):
        raise ValueError('the labels are not finite')
    return result


def _row(item: _Difference) -> dict[str, Any]:
    largest = None if item.gamma is None else float(item.gamma.max())
    return {
        'energy_error': float(item.energy[0]),
        'force_rmse': _statistics(item.forces)['rmse'],
        'force_max': _statistics(item.forces)['max'],
        'stress_rmse': _statistics(item.stress)['rmse'],
        # JSON has no infinity: an atom without neighbours has no grade.
        'max_gamma': largest if largest is not None and np.isfinite(largest) else None,
    }


def _statistics(values: FloatArray) -> dict[str, Any]:
    if values.size == 0:
        return {'rmse': None, 'mae': None, 'max': None, 'n': 0}
    absolute = np.abs(values)
    return {
        'rmse': float(np.sqrt(np.mean(values**2))),
        'mae': float(absolute.mean()),
        'max': float(absolute.max()),
        'n': int(values.size),
    }


def _summary(items: Sequence[_Difference]) -> dict[str, dict[str, Any]]:
    parts = {name: [np.ravel(getattr(item, name)) for item in items] for name in UNITS}
    return {name: _statistics(np.concatenate(values) if values else np.empty(0)) for name, values in parts.items()}


def _per_element(items: Sequence[_Difference]) -> dict[str, dict[str, Any]]:
    found: dict[str, list[FloatArray]] = {}
    for item in items:
        symbols = np.array(item.structure.atoms.get_chemical_symbols())
        for element in item.structure.elements:
            found.setdefault(element, []).append(np.ravel(item.forces[symbols == element]))
    return {element: _statistics(np.concatenate(values)) for element, values in sorted(found.items())}
