"""A dataset: which labels, in which split, with which weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from aiida_traincraft.data.level_of_theory import describe_differences
from aiida_traincraft.data.manifest import JsonFileData
from aiida_traincraft.data.reading import read_structures
from aiida_traincraft.science.structure import Structure

SPLITS = ('train', 'test', 'e0')


@dataclass(frozen=True)
class DatasetRow:
    """One member."""

    label: str
    """UUID of the label."""
    fingerprint: str
    """Content fingerprint of the label."""
    structure: str
    """Content fingerprint of the structure."""
    split: str = 'train'
    """``train``, ``test`` (sealed), or ``e0`` (isolated atom: gives the reference energy, is not trained on)."""
    weight: float = 1.0
    """Factor on the structure's residuals: its part of the loss goes with the square."""


class DatasetData(JsonFileData):
    """A manifest of labels; the training file is made from the batches when a job needs it.

    Parameters
    ----------
    rows
        The members; a structure may occur only once, and only in one split.
    levels
        Hashes of the levels of theory of the members.
    e0
        Isolated-atom energies (eV) by element.

    Raises
    ------
    ValueError
        If a split is unknown, a structure occurs twice, or labels of several levels of theory are mixed.
    """

    def __init__(self, rows: Sequence[DatasetRow], levels: Sequence[str], e0: dict[str, float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if len(set(levels)) > 1:
            raise ValueError(
                f'labels of {len(set(levels))} levels of theory cannot share one dataset: '
                f'{describe_differences(levels)}. Label the structures again at one level, or keep one dataset for '
                'each level (one head of a model each)'
            )
        seen: dict[str, str] = {}
        for row in rows:
            if row.split not in SPLITS:
                raise ValueError(f'unknown split {row.split!r} (allowed: {", ".join(SPLITS)})')
            if row.structure in seen:
                raise ValueError(
                    f'structure {row.structure} occurs twice, in splits {seen[row.structure]} and {row.split}'
                )
            seen[row.structure] = row.split
        content = sorted([row.fingerprint, row.split, float(row.weight)] for row in rows)
        counts = {f'n_{split}': sum(row.split == split for row in rows) for split in SPLITS}
        attributes = {**counts, 'levels_of_theory': sorted(set(levels)), 'e0': dict(e0)}
        self._write_rows([asdict(row) for row in rows], content, attributes)

    @property
    def rows(self) -> list[DatasetRow]:
        """All members, in the order in which they joined."""
        return [DatasetRow(**row) for row in self._read_rows()]

    @property
    def e0(self) -> dict[str, float]:
        """Isolated-atom energies (eV) by element."""
        return {key: float(value) for key, value in self.base.attributes.get('e0').items()}

    @property
    def levels_of_theory(self) -> list[str]:
        """Hashes of the levels of theory of the labels."""
        return list(self.base.attributes.get('levels_of_theory'))

    def count(self, split: str) -> int:
        """Number of members of a split."""
        return int(self.base.attributes.get(f'n_{split}'))

    def get_structures(self, split: str) -> list[Structure]:
        """Labelled structures of a split, in order; provenance gets ``label`` (UUID), ``split`` and ``weight``."""
        rows = [row for row in self.rows if row.split == split]
        structures = read_structures([row.label for row in rows])
        for row, structure in zip(rows, structures, strict=True):
            structure.provenance |= {'label': row.label, 'split': row.split, 'weight': row.weight}
        return structures

    def __str__(self) -> str:
        counts = ', '.join(f'{self.count(split)} {split}' for split in SPLITS)
        return f'dataset of {counts}, digest {self.digest[:8]}'


def isolated_atom_energies(structures: Sequence[Structure]) -> dict[str, float]:
    """Energies (eV) of labelled isolated atoms by element.

    Raises
    ------
    ValueError
        If a structure is not a single atom.
    """
    energies: dict[str, float] = {}
    for structure in structures:
        if len(structure) != 1 or np.any(structure.atoms.pbc):
            raise ValueError(f'{structure.formula} is not an isolated atom')
        energies[structure.elements[0]] = float(structure.properties['energy'])
    return energies
