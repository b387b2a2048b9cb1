"""Validator ``parity``: errors of a potential on labelled structures that it was not trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from pydantic import Field, field_validator

from aiida_traincraft.science.config.kinds import ValidatorConfig
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.scoring.evaluation import LABEL_UNITS, evaluate
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.validation import BrokenError, Curve, Findings, Subject, Validator

DIELECTRIC = ('dipole', 'polarizability')
ZERO = 1e-12
"""Labels that vary by less (in their unit) have no R²."""


class ParityConfig(ValidatorConfig):
    """Errors on labelled structures."""

    quantities: ClassVar[dict[str, str]] = {
        f'{name}_{statistic}': '' if statistic == 'r2' else unit
        for name, unit in LABEL_UNITS.items()
        for statistic in ('rmse', 'mae', 'max', 'r2')
    }
    needs_labels: ClassVar[bool] = True
    type: Literal['parity'] = 'parity'
    temperature_windows: list[tuple[float, float]] = []
    """Windows, each from and to a temperature (K), of which errors are told; the upper end does not belong to it."""
    points: int = Field(default=2000, ge=1, le=100_000)
    """Most points of a parity plot, evenly thinned; the errors are of all."""

    @field_validator('temperature_windows')
    @classmethod
    def _rising(cls, windows: list[tuple[float, float]]) -> list[tuple[float, float]]:
        for low, high in windows:
            if not 0 <= low < high:
                raise ValueError(f'[{low}, {high}] is no window: give two rising temperatures')
        return windows


@register('validator', 'parity', ParityConfig)
class Parity(Validator):
    """Errors of what both the potential and the labels have of: energy, forces, stress, dipole, polarizability.

    ``..._rmse``, ``..._mae`` and ``..._max`` are over all components (energy: per atom; dipole and polarizability: of
    the model of dipoles if there is one); ``..._r2`` = 1 − RMSE² / σ², σ the standard deviation of the labels, each
    component about its own mean: 1 is perfect, 0 no better than the mean. The curves are the points of parity plots
    and the same errors per system, per temperature window (``provenance["temperature"]``), and of forces per element.
    A structure that the potential fails at leaves the rest and makes the validator ``broken``.

    Examples
    --------
    .. code-block:: toml

        [validator]
        type = "parity"
        temperature_windows = [[0.0, 500.0], [500.0, 1000.0]]
        at_most = { energy_rmse = 0.005, forces_rmse = 0.1 }
        at_least = { forces_r2 = 0.9 }
    """

    config: ParityConfig

    def run(self, subject: Subject) -> Findings:
        """Errors and parity plots."""
        if not subject.labelled:
            raise BrokenError('there are no labelled structures')
        labelled = list(subject.labelled)
        replay = _Replay(_predict(labelled, subject))
        found, predictions = evaluate(labelled, replay, report=_silent)
        findings = Findings()
        if found['n_failed']:
            reason = next(row['reason'] for row in found['rows'] if row['reason']).removeprefix('BrokenError: ')
            findings.broken = f'{found["n_failed"]} of {len(labelled)} structures failed, the first with: {reason}'
        for name, table in found['overall'].items():
            if table['n']:
                findings.values |= {f'{name}_{key}': value for key, value in _statistics(table).items()}
        kept = [frame for frame, row in zip(labelled, found['rows'], strict=True) if row['status'] == 'ok']
        curves = self._points(kept, predictions)
        curves['forces_per_element'] = _table('element', 'forces', found['per_element'])
        windows = self._windows(labelled, replay)
        for name in LABEL_UNITS:
            for key, column, groups in (
                ('system', 'system', found['per_system']),
                ('temperature', 'temperature (K)', windows),
            ):
                tables = {group: tables[name] for group, tables in groups.items()}
                curves[f'{name}_per_{key}'] = _table(column, name, tables)
        findings.curves = {name: curve for name, curve in curves.items() if next(iter(curve.values()))}
        return findings

    def _windows(self, labelled: Sequence[Structure], replay: _Replay) -> dict[str, Any]:
        """Errors of each temperature window that has structures."""
        found = {}
        for low, high in self.config.temperature_windows:
            temperatures = [frame.provenance.get('temperature') for frame in labelled]
            inside = [i for i, value in enumerate(temperatures) if value is not None and low <= value < high]
            chosen = _Replay([replay.outcomes[i] for i in inside])
            found[f'{low:g} to {high:g}'] = evaluate([labelled[i] for i in inside], chosen, report=_silent)[0][
                'overall'
            ]
        return found

    def _points(self, labelled: Sequence[Structure], predictions: Sequence[Structure]) -> dict[str, Curve]:
        """Labels and predictions of each property, thinned."""
        curves: dict[str, Curve] = {}
        for name, unit in LABEL_UNITS.items():
            columns: dict[str, list[Any]] = {f'label ({unit})': [], f'prediction ({unit})': []}
            for pair in zip(labelled, predictions, strict=True):
                if name not in pair[1].properties:
                    continue
                for column, structure in zip(columns.values(), pair, strict=True):
                    values = np.ravel(structure.properties[name])
                    column.extend(values / len(structure) if name == 'energy' else values)
            total = len(columns[f'label ({unit})'])
            chosen = np.linspace(0, total - 1, min(total, self.config.points)).round().astype(int)
            curves[name] = {key: [float(column[i]) for i in chosen] for key, column in columns.items()}
        return curves


class _Replay:
    """Calculator of results that are there already, for :func:`evaluate`."""

    def __init__(self, outcomes: list[dict[str, Any] | Exception]) -> None:
        self.outcomes = outcomes

    def calculate_many(self, structures: Sequence[Atoms]) -> Iterator[dict[str, Any] | Exception]:
        assert len(structures) == len(self.outcomes)
        yield from self.outcomes


def _predict(labelled: Sequence[Structure], subject: Subject) -> list[dict[str, Any] | Exception]:
    """What the potential, and the model of dipoles, give of each structure, or why they do not."""
    outcomes: list[dict[str, Any] | Exception] = [{} for _ in labelled]
    sources = [(subject.calculator, tuple(LABEL_UNITS))]
    if subject.dielectric is not None:
        first = tuple(name for name in LABEL_UNITS if name not in DIELECTRIC)
        sources = [(subject.calculator, first), (subject.dielectric, DIELECTRIC)]
    for calculator, names in sources:
        wanted = []
        for index, frame in enumerate(labelled):
            labels = {name: frame.properties[name] for name in names if name in frame.properties}
            if labels:
                wanted.append((index, Structure(frame.atoms, labels, frame.provenance)))
        if not wanted:
            continue
        result, predictions = evaluate([frame for _, frame in wanted], calculator, report=subject.report)
        remaining = iter(predictions)
        for (index, _), row in zip(wanted, result['rows'], strict=True):
            outcome = outcomes[index]
            if row['status'] != 'ok':
                outcomes[index] = BrokenError(row['reason'])
            elif isinstance(outcome, dict):
                outcome |= next(remaining).properties
            else:
                next(remaining)
    return outcomes


def _statistics(table: Mapping[str, Any]) -> dict[str, float | None]:
    r2 = 1 - (table['rmse'] / table['std']) ** 2 if table['std'] > ZERO else None
    return {'rmse': table['rmse'], 'mae': table['mae'], 'max': table['max'], 'r2': r2}


def _table(column: str, name: str, groups: Mapping[str, Mapping[str, Any]]) -> Curve:
    """Errors of one property in each group that has it."""
    rows = {group: table for group, table in groups.items() if table['n']}
    statistics = [_statistics(table) for table in rows.values()]
    curve: Curve = {column: [*rows], 'numbers compared': [table['n'] for table in rows.values()]}
    for key in ('rmse', 'mae', 'max', 'r2'):
        curve[key if key == 'r2' else f'{key} ({LABEL_UNITS[name]})'] = [row[key] for row in statistics]
    return curve


def _silent(line: str) -> None:
    """Lines that were reported already."""
