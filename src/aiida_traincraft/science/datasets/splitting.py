"""Which frames must stay together in one split, and which of them the test set gets."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from aiida_traincraft.science.atoms.arrays import IntArray


def join_groups(keys: Sequence[Hashable | None], pairs: Iterable[tuple[int, int]] = ()) -> IntArray:
    """Number the sets of frames that must not be divided.

    Parameters
    ----------
    keys
        Group of each frame; one without a group (None) is a group of its own.
    pairs
        Pairs of frames that belong together although their groups differ: the groups are joined. They are not kept:
        n frames that are all alike make n²/2 pairs.

    Returns
    -------
    array of int
        Number of the set of each frame (n_frames,), counted from 0.
    """
    first: dict[Hashable, int] = {}
    edges = ((first.setdefault(key, index), index) for index, key in enumerate(keys) if key is not None)
    parents = list(range(len(keys)))
    for one, other in chain(edges, pairs):
        low, high = sorted((_root(parents, one), _root(parents, other)))
        parents[high] = low
    roots = np.array([_root(parents, index) for index in range(len(keys))], np.int64)
    numbers: IntArray = np.unique(roots, return_inverse=True)[1]
    return numbers


def _root(parents: list[int], index: int) -> int:
    """First frame of the set, the way to which is shortened."""
    while parents[index] != index:
        parents[index] = parents[parents[index]]
        index = parents[index]
    return index


def draw_sets(sizes: Sequence[int], target: int, rng: np.random.Generator) -> list[int]:
    """Draw sets until they hold a number of frames, as near as whole sets allow.

    Parameters
    ----------
    sizes
        Number of frames of each set, two sets at least.
    target
        Number of frames wanted.
    rng
        Decides the order in which the sets are drawn; one that would overshoot by more than is missing is passed over.

    Returns
    -------
    list of int
        Indices of at least one set, and never of all.
    """
    order: Any = rng.permutation(len(sizes))
    drawn: list[int] = []
    n = 0
    for index in order:
        if n + sizes[index] / 2 < target and len(drawn) < len(sizes) - 1:
            drawn.append(int(index))
            n += sizes[index]
    return drawn or [int(min(order, key=lambda index: sizes[index]))]
