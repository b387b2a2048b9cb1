"""A dataset: which labels, in which split, with which weight."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np
from aiida import orm
from ase.formula import Formula

from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.level_of_theory import describe_differences
from aiida_traincraft.data.manifest import JsonFileData
from aiida_traincraft.data.reading import QUERY_CHUNK, iterate_structures
from aiida_traincraft.science.structure import Structure

SPLITS = ('train', 'test', 'e0')
E0_TOLERANCE = 1e-3
"""Largest difference (eV) of energies that count as one E0."""


@dataclass(frozen=True, slots=True)
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


FIELDS = ('label', 'fingerprint', 'structure', 'split', 'weight')
_values = attrgetter(*FIELDS)


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
    parent
        Stored dataset to extend: ``rows`` are those that it does not have, and only they are kept here.

    Raises
    ------
    ValueError
        If a split is unknown, a structure occurs twice, labels of several levels of theory are mixed, E0 differ from
        the parent's, a label is not in the database, or the parent is not stored.
    """

    def __init__(
        self,
        rows: Sequence[DatasetRow],
        levels: Iterable[str],
        e0: dict[str, float],
        parent: DatasetData | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        before: Sequence[DatasetRow] = ()
        counts, systems = Counter(row.split for row in rows), Counter[str]()
        names, energies = set(levels), dict(e0)
        if parent is not None:
            if not parent.is_stored:
                raise ValueError('only a stored dataset can be extended: store the parent first')
            before = parent.rows
            counts.update({split: parent.count(split) for split in SPLITS})
            systems.update(parent.systems)
            names.update(parent.levels_of_theory)
        if len(names) > 1:
            raise ValueError(
                f'labels of {len(names)} levels of theory cannot share one dataset: '
                f'{describe_differences(names)}. Label the structures again at one level, or keep one dataset for '
                'each level (one head of a model each)'
            )
        if parent is not None:
            energies = join_e0([parent.e0, energies])
        _check_rows(before, rows)
        systems.update(_count_systems(rows))
        content = sorted([row.fingerprint, row.split, float(row.weight)] for row in chain(before, rows))
        attributes = {f'n_{split}': counts[split] for split in SPLITS} | {
            'levels_of_theory': sorted(names),
            'e0': energies,
            'systems': dict(systems),
            'parent': None if parent is None else parent.uuid,
        }
        self._write_rows([dict(zip(FIELDS, _values(row), strict=True)) for row in rows], content, attributes)

    @property
    def rows(self) -> list[DatasetRow]:
        """All members, in the order in which they joined."""
        links = [self]
        while (parent := links[-1].parent) is not None:
            links.append(parent)
        return list(chain.from_iterable(link.new_rows for link in reversed(links)))

    @property
    def new_rows(self) -> Sequence[DatasetRow]:
        """Members that the parent does not have."""
        if '_new_rows' not in self.__dict__:
            # The few names of splits are not kept once per row.
            self.__dict__['_new_rows'] = tuple(
                DatasetRow(**row | {'split': sys.intern(row['split'])}) for row in self._load_rows()
            )
        rows: Sequence[DatasetRow] = self.__dict__['_new_rows']
        return rows

    @property
    def parent(self) -> DatasetData | None:
        """Dataset that this one extends, if any."""
        uuid = self.base.attributes.get('parent', None)
        if uuid is not None and '_parent' not in self.__dict__:
            self.__dict__['_parent'] = orm.load_node(uuid)
        node: DatasetData | None = self.__dict__.get('_parent')
        return node

    @property
    def e0(self) -> dict[str, float]:
        """Isolated-atom energies (eV) by element."""
        return {key: float(value) for key, value in self.base.attributes.get('e0').items()}

    @property
    def levels_of_theory(self) -> list[str]:
        """Hashes of the levels of theory of the labels."""
        return list(self.base.attributes.get('levels_of_theory'))

    @property
    def systems(self) -> dict[str, int]:
        """Number of training and test structures by system; those of unknown origin under ``""``."""
        counts = self.base.attributes.get('systems', None)
        # A dataset of an earlier version does not know.
        return dict(_count_systems(self.rows)) if counts is None else dict(counts)

    def count(self, split: str) -> int:
        """Number of members of a split."""
        return int(self.base.attributes.get(f'n_{split}'))

    def iterate(self, split: str) -> Iterator[Structure]:
        """Labelled structures of a split, in order; provenance gets ``label`` (UUID), ``split`` and ``weight``."""
        return iterate_rows([row for row in self.rows if row.split == split])

    def get_structures(self, split: str) -> list[Structure]:
        """List of what :meth:`iterate` gives."""
        return list(self.iterate(split))

    def __str__(self) -> str:
        counts = ', '.join(f'{self.count(split)} {split}' for split in SPLITS)
        return f'dataset of {counts}, digest {self.digest[:8]}'


def iterate_rows(rows: Sequence[DatasetRow]) -> Iterator[Structure]:
    """Labelled structures of some rows, streamed; provenance gets ``label`` (UUID), ``split`` and ``weight``."""
    for row, structure in zip(rows, iterate_structures([row.label for row in rows]), strict=True):
        structure.provenance |= {'label': row.label, 'split': row.split, 'weight': row.weight}
        yield structure


def label_attributes(labels: Sequence[str], *names: str) -> Iterator[list[Any]]:
    """Attributes of label nodes, in the order given, without reading a frame.

    Parameters
    ----------
    labels
        UUIDs of labels.
    names
        Attributes to give of each.

    Raises
    ------
    ValueError
        If a label is not in the database.
    """
    for start in range(0, len(labels), QUERY_CHUNK):
        chunk = labels[start : start + QUERY_CHUNK]
        query = orm.QueryBuilder().append(
            LabelData,
            filters={'uuid': {'in': list(chunk)}},
            project=['uuid', *(f'attributes.{name}' for name in names)],
        )
        found = {uuid: values for uuid, *values in query.iterall()}
        if missing := [uuid for uuid in chunk if uuid not in found]:
            raise ValueError(f'{len(missing)} labels are not in the database, the first is {missing[0]}')
        for uuid in chunk:
            yield found[uuid]


def compositions(labels: Sequence[str]) -> list[dict[str, int]]:
    """Atoms of each element, of each of some labels (UUIDs), without reading a frame.

    Raises
    ------
    ValueError
        If a label is not in the database.
    """
    return [Formula(formula).count() for (formula,) in label_attributes(labels, 'formula')]


def without_e0(dataset: DatasetData) -> list[str]:
    """Elements of a dataset that no isolated atom gives an energy of."""
    found: set[str] = set()
    for (elements,) in label_attributes([row.label for row in dataset.rows], 'elements'):
        found.update(elements)
    return sorted(found - set(dataset.e0))


def isolated_atom_energies(structures: Iterable[Structure]) -> dict[str, float]:
    """Energies (eV) of labelled isolated atoms by element.

    Raises
    ------
    ValueError
        If a structure is not a single atom, or two of one element differ in energy.
    """
    return join_e0(map(_isolated_atom_energy, structures))


def join_e0(tables: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Join isolated-atom energies (eV) by element; the first of each element counts.

    Raises
    ------
    ValueError
        If two energies of an element differ by more than ``E0_TOLERANCE``.
    """
    energies: dict[str, float] = {}
    for table in tables:
        for element, energy in table.items():
            if abs(energies.setdefault(element, energy) - energy) > E0_TOLERANCE:
                raise ValueError(
                    f'isolated {element} has two energies, {energies[element]:.6f} eV and {energy:.6f} eV, and E0 can '
                    'be only one: leave one of the two labels out (gather_dataset takes a manifest, dataset create '
                    '--import those of one import), or store them at levels of theory of their own'
                )
    return energies


def _isolated_atom_energy(structure: Structure) -> dict[str, float]:
    if len(structure) != 1 or np.any(structure.atoms.pbc):
        raise ValueError(f'{structure.formula} is not an isolated atom')
    return {structure.elements[0]: float(structure.properties['energy'])}


def _check_rows(before: Iterable[DatasetRow], rows: Iterable[DatasetRow]) -> None:
    """Refuse unknown splits and structures that are there already."""
    seen = {row.structure: row.split for row in before}
    for row in rows:
        if row.split not in SPLITS:
            raise ValueError(f'unknown split {row.split!r} (allowed: {", ".join(SPLITS)})')
        if row.structure in seen:
            raise ValueError(f'structure {row.structure} occurs twice, in splits {seen[row.structure]} and {row.split}')
        seen[row.structure] = row.split


def _count_systems(rows: Sequence[DatasetRow]) -> Counter[str]:
    labels = [row.label for row in rows if row.split != 'e0']
    return Counter(system or '' for (system,) in label_attributes(labels, 'system'))
