"""What ``mace_run_train`` says: results, log and standard error; its exit status says nearly nothing."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

METRICS = {
    'loss': 'loss',
    'rmse_e_per_atom': 'energy_rmse',
    'rmse_f': 'forces_rmse',
    'rmse_stress': 'stress_rmse',
    'rmse_mu_per_atom': 'dipole_rmse',
    'rmse_polarizability_per_atom': 'polarizability_rmse',
}
"""Keys of the results file, and their names here: eV/atom, eV/Å, eV/Å³, e·Å and Å³ per atom."""
COLUMNS = {
    'RMSE E / meV / atom': 'energy_rmse',
    'RMSE F / meV / A': 'forces_rmse',
    'RMSE Stress (Virials) / meV / A (A^3)': 'stress_rmse',
    'RMSE MU / mDebye / atom': 'dipole_rmse',
    'RMSE MU / me A / atom': 'dipole_rmse',
    'RMSE ALPHA e A^2 / V / atom': 'polarizability_rmse',
}
"""Columns of the error tables; all are multiplied by 1000, and no dipole is in Debye."""
KINDS = {
    # MACE gives every structure the key of its head.
    'head': 'configurations',
    'energy': 'energy',
    'forces': 'forces',
    'stress': 'stress',
    'dipole components': 'dipole',
    'polarizability': 'polarizability',
}
"""What the log counts, and the names here."""
PROGRESS = (
    ('energy_rmse', 'energy', 'meV/atom'),
    ('forces_rmse', 'forces', 'meV/Å'),
    ('stress_rmse', 'stress', 'meV/Å³'),
    ('dipole_rmse', 'dipole', '10⁻³ e·Å/atom'),
    ('polarizability_rmse', 'polarizability', '10⁻³ Å³/atom'),
)
HEAD_LINE = re.compile(r'=+\s+Processing head (\S+)\s+=+')
LABELS_LINE = re.compile(r'Total (Training|Validation) set \[(.*)\]$')
STAGE_LINE = re.compile(r'Loaded Stage (one|two) model from epoch (\d+) for evaluation$')
CHECKPOINT_NAME = re.compile(r'.+_epoch-(\d+)(_swa)?\.pt')
OUT_OF_MEMORY = re.compile(
    r'OutOfMemoryError|out of memory|MemoryError|bad_alloc|[Cc]annot allocate memory|can.t allocate memory'
)
NO_LABELS = re.compile(r'ValueError: None of .* found in')


def read_row(line: str) -> dict[str, Any] | None:
    """One line of the results file; a number that is not finite becomes None.

    Returns
    -------
    dict or None
        ``epoch`` (None before any training), ``head`` (None for a step of the optimiser), and what there is of
        ``loss`` and the errors of :data:`METRICS`. None for a line that is not whole.
    """
    try:
        found = json.loads(line)
    except ValueError:
        return None
    row = {'epoch': found['epoch'], 'head': found.get('head')}
    for key, name in METRICS.items():
        if key in found:
            row[name] = found[key] if found[key] is not None and math.isfinite(found[key]) else None
    return row


def read_results(text: str) -> list[dict[str, Any]]:
    """Validation errors by epoch and head, from the text of ``results/*_train.txt``."""
    rows = [read_row(line) for line in text.splitlines()]
    return [row for row in rows if row is not None and row['head'] is not None and row['epoch'] is not None]


def read_labels(log: str) -> dict[str, dict[str, dict[str, int]]]:
    """Numbers of structures (``configurations``) and labels that MACE has read, by head, by set ("train", "valid")."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    head = None
    for line in log.splitlines():
        if match := HEAD_LINE.search(line):
            head = match[1]
        elif head is not None and (match := LABELS_LINE.search(line)):
            pairs = (item.rsplit(': ', 1) for item in match[2].split(', '))
            counts = {KINDS[name]: int(number) for name, number in pairs if name in KINDS}
            found.setdefault(head, {})['train' if match[1] == 'Training' else 'valid'] = counts
    return found


def read_errors(log: str) -> tuple[str, int, dict[str, dict[str, dict[str, float]]]] | None:
    """Last table of errors on the training and validation sets.

    Returns
    -------
    tuple or None
        Stage ("one" or "two"), its epoch, and the errors by head, by set ("train", "valid"), in eV/atom, eV/Å, ...; of
        a stressless head in a table with stresses MACE writes none. None if the training did not come so far.
    """
    stage: tuple[str, int] | None = None
    columns: list[str] = []
    errors: dict[str, dict[str, dict[str, float]]] = {}
    for line in log.splitlines():
        if match := STAGE_LINE.search(line):
            stage, errors = (match[1], int(match[2])), {}
        elif line.startswith('|'):
            name, *cells = (cell.strip() for cell in line.strip('|').split('|'))
            if name == 'config_type':
                columns = cells
                continue
            split, head = name.split('_', 1)
            values = {COLUMNS[key]: cell for key, cell in zip(columns, cells, strict=True) if key in COLUMNS}
            errors.setdefault(head, {})[split] = {
                key: round(float(cell) / 1000, 6) for key, cell in values.items() if cell not in ('None', 'nan', 'inf')
            }
    return None if stage is None else (*stage, errors)


def progress_line(row: dict[str, Any], epochs: int) -> str:
    """One line about one row of the results."""
    parts = [f'{word} {1000 * row[key]:.1f} {unit}' for key, word, unit in PROGRESS if row.get(key) is not None]
    loss = 'nan' if row['loss'] is None else f'{row["loss"]:.6g}'
    return f'epoch {row["epoch"]} of {epochs}, head {row["head"]}: loss {loss}, {", ".join(parts)}'


def newest_checkpoint(folder: Path) -> Path | None:
    """Checkpoint of the last epoch in a folder; one of stage two comes after all of stage one."""
    found = [(match, path) for path in folder.glob('*.pt') if (match := CHECKPOINT_NAME.fullmatch(path.name))]
    return max(found, key=lambda item: (item[0][2] is not None, int(item[0][1])))[1] if found else None


def last_words(errors: str) -> str:
    """Last line of standard error that is not empty."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return lines[-1] if lines else 'nothing on standard error'
