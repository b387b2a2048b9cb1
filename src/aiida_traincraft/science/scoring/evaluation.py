"""Errors of a potential on a labelled dataset: overall, per element, per system, and per structure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.errors import shortened
from aiida_traincraft.science.structure import Structure

LABEL_UNITS = {'energy': 'eV/atom', 'forces': 'eV/Å', 'stress': 'eV/Å³', 'dipole': 'e·Å', 'polarizability': 'Å³'}
COMPONENTS = {'energy': 1, 'forces': 3, 'stress': 6, 'dipole': 3, 'polarizability': 9}


@dataclass(frozen=True)
class _Comparison:
    """What a potential predicts of one structure beside its labels."""

    label: Structure
    prediction: Structure

    def values(self, name: str, atoms: Any = slice(None)) -> tuple[FloatArray, FloatArray]:
        """Prediction and label, both (n, components); energy per atom, n = 0 if the property was not compared.

        Parameters
        ----------
        name
            Property.
        atoms
            Which atoms' forces.
        """
        pair = []
        for source in (self.prediction, self.label):
            found = source.properties[name] if name in self.prediction.properties else []
            array = np.asarray(found, float).reshape(-1, COMPONENTS[name])
            pair.append(array / len(self.label) if name == 'energy' else array[atoms] if name == 'forces' else array)
        return pair[0], pair[1]


def evaluate(
    structures: Sequence[Structure],
    calculator: Calculator,
    with_uncertainty: bool = False,
    report: Callable[[str], None] = print,
) -> tuple[dict[str, Any], list[Structure]]:
    """Compare a calculator with labels.

    Compared is what both have of: energy (per atom) and the components of forces, stress, dipole and polarizability.

    Parameters
    ----------
    structures
        With labels as properties; ``provenance["system"]`` groups.
    calculator
        ASE calculator, perhaps with ``calculate_many`` (see
        :class:`~aiida_traincraft.science.models.mace.MaceCalculator`); with ``with_uncertainty`` it must have that
        attribute and write ``results["uncertainty"]``.
    with_uncertainty
        Whether to give the largest uncertainty of an atom of each structure.
    report
        Takes one line of progress at a time.

    Returns
    -------
    tuple
        A JSON-serialisable dict, None where a number is not defined. ``overall``: for every property of ``units`` a
        table of ``rmse``, ``mae``, ``max``, ``std`` and ``n`` (numbers compared); ``per_element``: the same for forces;
        ``per_system``: the same for all; ``rows``: one per structure in order, ``status`` "ok" or "failed" with its
        ``reason``; ``n_failed``; ``units``. ``std`` is the standard deviation of the labels, each component about its
        own mean: the RMSE of a model that always predicts the mean.

        And the predictions: the structures in order without the failed ones, each with what was compared (energy in eV)
        and, where asked for, ``uncertainty`` and a committee's ``energy_spread`` as properties.
    """
    rows: list[dict[str, Any]] = []
    compared: list[_Comparison] = []
    if with_uncertainty:
        calculator.with_uncertainty = True
    outcomes = _outcomes([structure.bare().atoms for structure in structures], calculator)
    for index, (structure, outcome) in enumerate(zip(structures, outcomes, strict=True)):
        row: dict[str, Any] = {
            'index': index,
            'status': 'ok',
            'reason': None,
            'system': structure.provenance.get('system'),
            'formula': structure.formula,
            'n_atoms': len(structure),
        }
        try:
            item = _Comparison(structure, _prediction(structure, outcome, with_uncertainty))
        except Exception as error:
            # Whatever the calculator objects to, the other structures count.
            row |= {'status': 'failed', 'reason': shortened(f'{type(error).__name__}: {error}')}
            report(f'structure {index} ({structure.formula}) failed: {row["reason"]}')
        else:
            row |= _row(item)
            compared.append(item)
        rows.append(row)
    systems = sorted({str(item.label.provenance['system']) for item in compared if _system(item) is not None})
    result = {
        'units': LABEL_UNITS,
        'overall': _summary(compared),
        'per_element': _per_element(compared),
        'per_system': {name: _summary([item for item in compared if _system(item) == name]) for name in systems},
        'rows': rows,
        'n_failed': len(rows) - len(compared),
    }
    return result, [item.prediction for item in compared]


def _system(item: _Comparison) -> str | None:
    name = item.label.provenance.get('system')
    return None if name is None else str(name)


def _outcomes(structures: Sequence[Atoms], calculator: Calculator) -> Iterator[dict[str, Any] | Exception]:
    """Results of each structure, or why there are none."""
    if hasattr(calculator, 'calculate_many'):
        yield from calculator.calculate_many(structures)
        return
    for atoms in structures:
        try:
            calculator.calculate(atoms, calculator.implemented_properties, all_changes)
            yield calculator.results
        except Exception as error:
            yield error


def _prediction(structure: Structure, outcome: dict[str, Any] | Exception, with_uncertainty: bool) -> Structure:
    if isinstance(outcome, Exception):
        raise outcome
    names = [name for name in LABEL_UNITS if name in structure.properties and name in outcome]
    if not names:
        raise ValueError('its labels hold nothing that the potential predicts')
    prediction = structure.bare()
    for name in names:
        # A copy: some calculators write the next results into the same arrays.
        value = np.array(outcome[name], float)
        label = np.asarray(structure.properties[name], float)
        if not np.isfinite(value).all():
            raise ValueError(f'the potential gave numbers that are not finite: {name}')
        if not np.isfinite(label).all():
            raise ValueError(f'the labels are not finite: {name}')
        if value.shape != label.shape:
            raise ValueError(f'{name} has shape {value.shape}, its label {label.shape}')
        prediction.properties[name] = value if value.ndim else float(value)
    if with_uncertainty:
        prediction.properties['uncertainty'] = np.array(outcome['uncertainty'], float)
        if 'energy_spread' in outcome:
            prediction.properties['energy_spread'] = float(outcome['energy_spread'])
    return prediction


def _row(item: _Comparison) -> dict[str, Any]:
    predicted, label = item.values('energy')
    statistics = {name: _statistics(*item.values(name)) for name in LABEL_UNITS}
    uncertainty = item.prediction.properties.get('uncertainty')
    largest = None if uncertainty is None else float(uncertainty.max())
    return {
        'energy_error': float((predicted - label).item()) if len(label) else None,
        'force_rmse': statistics['forces']['rmse'],
        'force_max': statistics['forces']['max'],
        'stress_rmse': statistics['stress']['rmse'],
        'dipole_rmse': statistics['dipole']['rmse'],
        'polarizability_rmse': statistics['polarizability']['rmse'],
        # JSON has no infinity: an atom without neighbours has no finite uncertainty.
        'max_uncertainty': largest if largest is not None and np.isfinite(largest) else None,
    }


def _statistics(predicted: FloatArray, label: FloatArray) -> dict[str, Any]:
    if label.size == 0:
        return {'rmse': None, 'mae': None, 'max': None, 'std': None, 'n': 0}
    error = predicted - label
    return {
        'rmse': _rms(error),
        'mae': float(np.abs(error).mean()),
        'max': float(np.abs(error).max()),
        'std': _rms(label - label.mean(axis=0)),
        'n': int(error.size),
    }


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _pooled(pairs: Sequence[tuple[FloatArray, FloatArray]]) -> dict[str, Any]:
    if not pairs:
        return _statistics(np.empty(0), np.empty(0))
    predicted, labels = zip(*pairs, strict=True)
    return _statistics(np.concatenate(predicted), np.concatenate(labels))


def _summary(items: Sequence[_Comparison]) -> dict[str, dict[str, Any]]:
    return {name: _pooled([item.values(name) for item in items]) for name in LABEL_UNITS}


def _per_element(items: Sequence[_Comparison]) -> dict[str, dict[str, Any]]:
    found: dict[str, list[tuple[FloatArray, FloatArray]]] = {}
    for item in items:
        symbols = np.array(item.label.atoms.get_chemical_symbols())
        for element in item.label.elements if 'forces' in item.prediction.properties else []:
            found.setdefault(element, []).append(item.values('forces', symbols == element))
    return {element: _pooled(pairs) for element, pairs in sorted(found.items())}
