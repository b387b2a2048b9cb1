"""Datasets made from datasets: split, weighted, merged, filtered, reduced."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from ase.data import atomic_numbers

from aiida_traincraft.data.dataset import (
    DatasetData,
    DatasetRow,
    compositions,
    iterate_rows,
    join_e0,
    label_attributes,
)
from aiida_traincraft.data.filters import float_numbers
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.reading import QUERY_CHUNK
from aiida_traincraft.science.config.training.pace_linear import PaceLinearTraining
from aiida_traincraft.science.datasets.near_duplicates import near_pairs
from aiida_traincraft.science.datasets.splitting import draw_sets, join_groups
from aiida_traincraft.science.seeds import derive_seed
from aiida_traincraft.science.training.ace.reduction import check_size, reduce_structures

GROUPINGS = ('group', 'system', 'frame')


@calcfunction
def split_dataset(dataset: DatasetData, options: orm.Dict) -> DatasetData:
    """Move whole groups of training structures, drawn by chance, into the test set.

    Parameters
    ----------
    dataset
        Its test set stays, and gets what shares a group with it.
    options
        ``test_fraction`` of training and test structures together, to be reached as nearly as whole groups allow;
        ``by``: "group" (frames of one trajectory), "system" or "frame"; ``tolerance``: groups that hold near duplicates
        (relative distance, no unit) of each other are joined, None to join none; ``seed``.

    Raises
    ------
    ValueError
        If an option cannot be used, there is only one group, or nothing is left to be moved.
    """
    settings = options.get_dict()
    fraction, by, tolerance = settings['test_fraction'], settings['by'], settings['tolerance']
    if not 0.0 < fraction < 1.0:
        raise ValueError(f'test_fraction is {fraction}: it must lie between 0 and 1')
    if by not in GROUPINGS:
        raise ValueError(f'by is {by!r} (allowed: {", ".join(GROUPINGS)})')
    rows = dataset.rows
    members = [row for row in rows if row.split != 'e0']
    sets = join_groups(_groups(members, by), () if tolerance is None else _near_pairs(members, tolerance))
    sizes = np.bincount(sets)
    # What shares a group with a test structure would leak.
    in_test = np.zeros(len(sizes), bool)
    in_test[sets[[row.split == 'test' for row in members]]] = True
    target = round(fraction * len(members)) - int(sizes[in_test].sum())
    if target > 0:
        free = np.flatnonzero(~in_test)
        if len(free) < 2:
            raise ValueError(
                f'all {sizes[free].sum()} training structures hang together, which leaves none to train on: split by '
                'frame, without tolerance or with a smaller one, or add structures of other trajectories'
            )
        rng = np.random.default_rng(derive_seed(settings['seed'], 'split'))
        in_test[free[draw_sets(sizes[free].tolist(), target, rng)]] = True
    chosen = {row.label for row, number in zip(members, sets, strict=True) if in_test[number]}
    split = [replace(row, split='test') if row.label in chosen else row for row in rows]
    if split == rows:
        count = f'{dataset.count("test")} of {len(members)} structures'
        raise ValueError(f'the test set would stay as it is, {count}: raise test_fraction')
    return DatasetData(split, dataset.levels_of_theory, dataset.e0)


@calcfunction
def weight_dataset(dataset: DatasetData, options: orm.Dict) -> DatasetData:
    """Set weights of training and test structures.

    Parameters
    ----------
    dataset
        Its other rows keep their weight.
    options
        ``systems`` and ``groups``: weight (> 0) by name; a structure that both name gets the product.

    Raises
    ------
    ValueError
        If a weight is not positive, or no structure is of a system or group that is named.
    """
    weights = {key: dict(options.get_dict().get(f'{key}s', {})) for key in ('system', 'group')}
    for key, table in weights.items():
        for name, weight in table.items():
            if not (weight > 0.0 and math.isfinite(weight)):
                raise ValueError(f'weight of {key} {name!r} is {weight}: it must be positive')
    members = [row for row in dataset.rows if row.split != 'e0']
    new: dict[str, float] = {}
    unused = {(key, name) for key, table in weights.items() for name in table}
    for row, names in zip(members, label_attributes([row.label for row in members], *weights), strict=True):
        named = [(key, name) for key, name in zip(weights, names, strict=True) if name in weights[key]]
        if named:
            new[row.label] = math.prod(float(weights[key][name]) for key, name in named)
            unused.difference_update(named)
    if unused:
        raise ValueError(f'no structure of the dataset is of {" or ".join(f"{k} {n!r}" for k, n in sorted(unused))}')
    rows = [replace(row, weight=new.get(row.label, row.weight)) for row in dataset.rows]
    return DatasetData(rows, dataset.levels_of_theory, dataset.e0)


@calcfunction
def give_e0(dataset: DatasetData, energies: orm.Dict) -> DatasetData:
    """Add energies of isolated atoms that were calculated elsewhere.

    Parameters
    ----------
    dataset
        Its labels stay as they are.
    energies
        Energy (eV) by element, at the level of theory of the labels.

    Raises
    ------
    ValueError
        If there is no such element, an energy is not finite, or the dataset has another E0 of the element.
    """
    given = {str(element): float(energy) for element, energy in energies.get_dict().items()}
    for element, energy in given.items():
        if atomic_numbers.get(element, 0) < 1 or not math.isfinite(energy):
            raise ValueError(f'{element} = {energy} eV is no energy of an element')
    return DatasetData(dataset.rows, dataset.levels_of_theory, join_e0([dataset.e0, given]))


@calcfunction
def merge_datasets(**datasets: DatasetData) -> DatasetData:
    """Join datasets in the order of their keys, as an extension of the first.

    A structure that several of them have counts once, as the first has it.

    Raises
    ------
    ValueError
        If a structure is in the test set of one and trained on in another, or levels of theory or E0 differ.
    """
    first, *others = [node for _, node in sorted(datasets.items())]
    known = {row.structure: row.split for row in first.rows}
    rows: list[DatasetRow] = []
    conflicts: list[str] = []
    levels: set[str] = set()
    for node in others:
        levels.update(node.levels_of_theory)
        for row in node.rows:
            if row.structure not in known:
                rows.append(row)
                known[row.structure] = row.split
            elif known[row.structure] != row.split:
                conflicts.append(row.label)
    if conflicts:
        raise ValueError(
            f'{len(conflicts)} structures are in different splits of these datasets, the first is that of label '
            f'{conflicts[0]}: filter them out of one of the datasets, or merge before you split'
        )
    return DatasetData(rows, levels, join_e0(node.e0 for node in others), parent=first)


@calcfunction
def filter_dataset(dataset: DatasetData, filters: orm.Dict) -> DatasetData:
    """Keep the structures whose labels match filters of the QueryBuilder; isolated atoms stay.

    Parameters
    ----------
    dataset
        What is filtered.
    filters
        Filters on ``LabelData``, such as ``{'and': [{'attributes.n_atoms': {'<': 9}}]}``: a key of a ``Dict`` itself
        cannot have a dot.

    Raises
    ------
    ValueError
        If no structure is left.
    """
    condition = float_numbers(filters.get_dict())
    labels = [row.label for row in dataset.rows if row.split != 'e0']
    kept: set[str] = set()
    for start in range(0, len(labels), QUERY_CHUNK):
        chunk = {'uuid': {'in': labels[start : start + QUERY_CHUNK]}}
        query = orm.QueryBuilder().append(LabelData, filters={'and': [condition, chunk]}, project='uuid')
        kept.update(query.all(flat=True))
    if not kept:
        raise ValueError(f'none of the {len(labels)} structures matches the filters {filters.get_dict()}')
    rows = [row for row in dataset.rows if row.split == 'e0' or row.label in kept]
    return DatasetData(rows, dataset.levels_of_theory, dataset.e0)


@calcfunction
def reduce_dataset(dataset: DatasetData, options: orm.Dict) -> DatasetData:
    """Keep the training structures that say most of a linear ACE; test structures and isolated atoms stay.

    Parameters
    ----------
    dataset
        What is reduced.
    options
        ``size`` (training structures that stay), ``method`` ("greedy" or "maxvol", see
        :func:`~aiida_traincraft.science.training.ace.reduction.reduce_structures`) and ``cutoff`` (Å) of the basis.

    Raises
    ------
    ValueError
        If an option cannot be used, there are not so many structures, or they cannot hold enough atoms of each element.
    ModuleNotFoundError
        If python-ace is not installed here.
    """
    config = check_reduction(dataset, options)
    assert config.active_set_size is not None
    structures = dataset.get_structures('train')
    kept = reduce_structures(structures, config, config.active_set_size, config.active_set_method).picked
    labels = {structures[index].provenance['label'] for index in kept}
    rows = [row for row in dataset.rows if row.split != 'train' or row.label in labels]
    return DatasetData(rows, dataset.levels_of_theory, dataset.e0)


def check_reduction(dataset: DatasetData, options: orm.Dict) -> PaceLinearTraining:
    """Find out whether :func:`reduce_dataset` could do what is asked, without reading a frame.

    Returns
    -------
    PaceLinearTraining
        The section of a training that would leave out the same.

    Raises
    ------
    ValueError
        If it could not.
    """
    settings = options.get_dict()
    size, method = settings['size'], settings['method']
    config = PaceLinearTraining(active_set_size=size, active_set_method=method, cutoff=settings['cutoff'])
    check_size(compositions([row.label for row in dataset.rows if row.split == 'train']), config, size)
    return config


def _groups(rows: Sequence[DatasetRow], by: str) -> list[Any]:
    if by == 'frame':
        return [None] * len(rows)
    return [name for (name,) in label_attributes([row.label for row in rows], by)]


def _near_pairs(rows: Sequence[DatasetRow], tolerance: float) -> Iterator[tuple[int, int]]:
    return ((first, second) for first, second, _ in near_pairs(iterate_rows(rows), tolerance))
