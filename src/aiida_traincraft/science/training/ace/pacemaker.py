"""pacemaker's files: the input it reads, the data it fits, the metrics and log lines it writes."""

from __future__ import annotations

import gzip
import json
import pickle
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aiida_traincraft.science.config.training.pace import PaceNonlinearTraining
from aiida_traincraft.science.models.cells import prepare_atoms
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.training.ace.basis import basis_specification
from aiida_traincraft.science.training.labels import cohesive_energy

METRICS = {
    'iter_num': 'iteration',
    'loss': 'loss',
    'rmse_epa': 'energy_rmse',
    'rmse_f_comp': 'force_rmse',
    'mae_f_comp': 'force_mae',
}
"""Columns of metrics.txt that are kept, and their names here; eV/atom and eV/Å."""

GZIP_LEVEL = 1
"""Coordinates hardly shrink further at a higher one."""

ITERATION_LINE = re.compile(
    r'(?P<kind>Initial state:|Initial\(TEST\):|Iteration)\s*#?(?P<iteration>\d+)\s+\((?P<evaluations>\d+) evals\):\s+'
    r'Loss:\s+(?P<loss>\S+) \| RMSE Energy\(low\):\s+(?P<energy>\S+) \([^)]+\) meV/at \| '
    r'Forces\(low\):\s+(?P<forces>\S+) \([^)]+\) meV/A'
)
"""One line of log.txt about one iteration (energy in meV/atom, forces in meV/Å)."""

STATISTICS_BLOCK = re.compile(
    r'-+(?P<kind>INIT STATS|FIT STATS|INIT TEST STATS|TEST STATS|[A-Za-z ]+:)-+\n'
    r'Iteration:\s+#(?P<iteration>\d+)\s+Loss:\s+Total:\s+(?P<loss>\S+).*?'
    r'RMSE:\s+(?P<energy>\S+)\s+\S+\s+(?P<forces>\S+)\s+\S+',
    flags=re.DOTALL,
)
"""The block that log.txt has instead of that line every ``display_step`` iterations."""


def pacemaker_input(
    config: PaceNonlinearTraining,
    elements: Sequence[str],
    n_functions: int,
    seed: int,
    train_file: str,
    test_file: str | None = None,
    start_file: str | None = None,
) -> dict[str, Any]:
    """Content of pacemaker's ``input.yaml``.

    pacemaker ignores keys that it does not know, so all of them are written here and nowhere else.

    Parameters
    ----------
    config
        Basis and fit.
    elements
        Chemical symbols.
    n_functions
        Largest number of functions per element; without effect if a start is given.
    seed
        Of pacemaker's random numbers.
    train_file, test_file
        Files written by :func:`write_data`, relative to the folder of the run.
    start_file
        Potential whose functions and coefficients the fit starts from.
    """
    fit: dict[str, Any] = {
        'loss': {'kappa': config.kappa, 'L1_coeffs': config.l1, 'L2_coeffs': config.l2},
        'optimizer': config.optimizer,
        'maxiter': config.maxiter,
    }
    if config.weighting.type == 'energy_based':
        options = config.weighting.model_dump(exclude={'type'})
        fit['weighting'] = {'type': 'EnergyBasedWeightingPolicy', 'seed': seed, **options}
    if config.ladder is not None:
        fit |= {'ladder_step': config.ladder.step, 'ladder_type': config.ladder.type}
    data = {'filename': train_file}
    if test_file is not None:
        data['test_filename'] = test_file
    return {
        'seed': seed,
        'potential': start_file or basis_specification(config, elements, n_functions),
        'data': data,
        'fit': fit,
        'backend': {
            'evaluator': 'tensorpot',
            'batch_size': config.batch_size,
            'display_step': config.display_step,
        },
    }


def write_data(path: Path, structures: Iterable[Structure], e0: Mapping[str, float] | None, cutoff: float) -> None:
    """Write the pickled table that pacemaker fits to (``.pckl.gzip``), one structure at a time.

    Columns: ``ase_atoms`` as pyace takes them (see :func:`prepare_atoms`), ``energy`` (total, eV), ``energy_corrected``
    (eV, minus the isolated atoms' energies; left out if these are None), ``forces`` (eV/Å) and ``w_factor``: the square
    of ``provenance["weight"]`` (1 if there is none), since pacemaker's factor multiplies squared residuals.
    """
    corrected = [] if e0 is None else ['energy_corrected']
    rows = (
        (
            prepare_atoms(structure.atoms, cutoff),
            float(structure.properties['energy']),
            *([] if e0 is None else [cohesive_energy(structure, e0)]),
            np.asarray(structure.properties['forces'], float),
            float(structure.provenance.get('weight', 1.0)) ** 2,
        )
        for structure in structures
    )
    _write_table(path, ['ase_atoms', 'energy', *corrected, 'forces', 'w_factor'], rows)


def write_geometries(path: Path, structures: Iterable[Structure], cutoff: float) -> None:
    """Write the pickled table that ``pace_activeset --all-atoms`` reads: column ``ase_atoms`` alone."""
    _write_table(path, ['ase_atoms'], ((prepare_atoms(structure.atoms, cutoff),) for structure in structures))


class _Streamed:
    """Rows that are pickled as a list, one by one as they come."""

    def __init__(self, rows: Iterator[tuple[Any, ...]]) -> None:
        self.rows = rows

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (), None, self.rows


class _Table:
    """What is pickled as the call that makes a DataFrame: the reader's pandas makes its own kind of columns."""

    def __init__(self, columns: list[str], rows: Iterator[tuple[Any, ...]]) -> None:
        self.columns, self.rows = columns, rows

    def __reduce__(self) -> tuple[Any, ...]:
        from pandas import DataFrame

        return DataFrame, (_Streamed(self.rows), None, self.columns)


def _write_table(path: Path, columns: list[str], rows: Iterator[tuple[Any, ...]]) -> None:
    with gzip.open(path, 'wb', compresslevel=GZIP_LEVEL) as handle:
        pickler = pickle.Pickler(handle, protocol=4)
        # Without this, it would keep everything it has written in case that it comes again.
        pickler.fast = True
        pickler.dump(_Table(columns, rows))


def read_metrics(text: str) -> list[dict[str, float | int | None]]:
    """Rows of ``metrics.txt`` or ``test_metrics.txt``; a number that is not finite becomes None.

    Returns
    -------
    list of dict
        ``iteration``, ``loss``, ``energy_rmse`` (eV/atom), ``force_rmse`` and ``force_mae`` (eV/Å).
    """
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if not lines:
        return []
    head = lines[0]
    rows: list[dict[str, float | int | None]] = []
    for fields in lines[1:]:
        # A killed run may leave half a line.
        if len(fields) != len(head):
            continue
        values = dict(zip(head, fields, strict=True))
        row: dict[str, float | int | None] = {}
        for column, name in METRICS.items():
            if column in values:
                number = float(values[column])
                row[name] = number if np.isfinite(number) else None
        row['iteration'] = int(float(values['iter_num']))
        rows.append(row)
    return rows


def read_log(text: str) -> list[dict[str, float | int | str]]:
    """Progress found in ``log.txt`` so far, in the order of the file.

    Returns
    -------
    list of dict
        ``set`` ("train" or "test"), ``iteration``, ``loss``, ``energy_rmse`` (eV/atom), ``force_rmse`` (eV/Å).
    """
    matches = [*ITERATION_LINE.finditer(text), *STATISTICS_BLOCK.finditer(text)]
    return [
        {
            'set': 'test' if 'TEST' in match['kind'] else 'train',
            'iteration': int(match['iteration']),
            'loss': float(match['loss']),
            'energy_rmse': float(match['energy']) / 1000,
            'force_rmse': float(match['forces']) / 1000,
        }
        for match in sorted(matches, key=lambda match: match.start())
    ]


def write_input(path: Path, content: Mapping[str, Any]) -> None:
    """Write an input as JSON, which is YAML too."""
    path.write_text(json.dumps(content, indent=2), encoding='utf-8')
