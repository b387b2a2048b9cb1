"""Datasets as files for trainers, one structure at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from aiida_traincraft.data.dataset import SPLITS, DatasetData, DatasetRow, iterate_rows, label_attributes
from aiida_traincraft.science.structure import Structure, write_extxyz
from aiida_traincraft.science.training.ace.pacemaker import write_data
from aiida_traincraft.science.training.mace.input import config_type, write_hdf5

DEFAULT_SPLITS = {'extxyz': SPLITS, 'pckl.gzip': ('train',), 'hdf5': ('train',)}
"""What is written where nothing is said: a trainer takes all that is in a table or HDF5 file."""
FORMATS = tuple(DEFAULT_SPLITS)
LARGEST_CUTOFF = 15.0
"""Å; images along directions that are not periodic lie beyond it in pacemaker's table."""


def export_dataset(
    dataset: DatasetData,
    path: Path,
    format: str,
    splits: Sequence[str] | None = None,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write a dataset to a file; memory does not grow with its frames.

    Parameters
    ----------
    dataset
        What to write.
    path
        The file, which must not be there yet; it is written aside and renamed.
    format
        ``extxyz``: labels under ``REF_`` keys, with ``config_type``, ``config_weight`` (the square of the weight, as
        MACE reads it) and ``split``; ``pckl.gzip``: pacemaker's table; ``hdf5``: MACE's own.
    splits
        Splits to write, in the order of the dataset; without it all for ``extxyz``, ``train`` for the others.
    progress
        Told how many frames were written since it was told last.

    Returns
    -------
    int
        Number of frames.

    Raises
    ------
    ValueError
        If format or split are unknown, the file is there already, or there is nothing to write.
    """
    if format not in FORMATS:
        raise ValueError(f'unknown format {format!r} (allowed: {", ".join(FORMATS)})')
    splits = DEFAULT_SPLITS[format] if splits is None else splits
    if unknown := sorted(set(splits) - set(SPLITS)):
        raise ValueError(f'unknown split {unknown[0]!r} (allowed: {", ".join(SPLITS)})')
    rows = [row for row in dataset.rows if row.split in splits]
    if not rows:
        raise ValueError(f'the dataset has no structure in {" or ".join(splits)}: nothing to export')
    if path.exists():
        raise ValueError(f'{path} is there already: remove it, or choose another name')
    partial = path.with_name(f'.{path.name}.partial')
    structures = iterate_rows(rows)
    if progress is not None:
        structures = _told(structures, progress)
    try:
        if format == 'extxyz':
            write_extxyz(partial, (_with_keys(structure) for structure in structures))
        elif format == 'pckl.gzip':
            write_data(partial, structures, _energies(dataset, rows), LARGEST_CUTOFF)
        else:
            write_hdf5(partial, structures)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return len(rows)


def _with_keys(structure: Structure) -> Structure:
    facts = structure.provenance
    structure.atoms.info |= {
        'config_type': config_type(structure),
        'config_weight': facts['weight'] ** 2,
        'split': facts['split'],
    }
    return structure


def _energies(dataset: DatasetData, rows: Sequence[DatasetRow]) -> dict[str, float] | None:
    """Isolated-atom energies, if there is one for each element."""
    found = {name for (names,) in label_attributes([row.label for row in rows], 'elements') for name in names}
    return dataset.e0 if found <= dataset.e0.keys() else None


def _told(structures: Iterable[Structure], progress: Callable[[int], None]) -> Iterator[Structure]:
    for structure in structures:
        yield structure
        progress(1)
