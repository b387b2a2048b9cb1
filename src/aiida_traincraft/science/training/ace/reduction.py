"""The most informative structures of a training set, by D-optimality over the ACE basis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from aiida_traincraft.science.atoms.arrays import FloatArray, IntArray
from aiida_traincraft.science.config.training.base import PaceTraining, ReductionMethod
from aiida_traincraft.science.models.pyace_import import import_pyace
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.training.ace.basis import MIN_FUNCTIONS, basis_config, count_atoms, function_count
from aiida_traincraft.science.training.ace.design import RowBuilder

PRIOR = 1e-8
"""What the information matrix is before any structure, with functions scaled to a mean square of 1."""
BATCH = 4096
"""Atoms whose gains are computed together, which bounds the memory."""
TOLERANCE, ITERATIONS = 1.01, 300
"""Of pyace's MaxVol, as pace_select has them."""


@dataclass(frozen=True)
class Reduction:
    """The most informative structures.

    Attributes
    ----------
    picked
        Their indices, in the order picked.
    log_volume
        Logarithm of the determinant of their information matrix (no unit).
    """

    picked: list[int]
    log_volume: float


def reduce_structures(
    structures: Sequence[Structure], config: PaceTraining, size: int, method: ReductionMethod = 'greedy'
) -> Reduction:
    r"""Pick the structures that say most of the coefficients of a linear ACE.

    The information matrix has a block :math:`M = \lambda I + \sum_a b_a b_a^T` for each element, over its atoms, whose
    basis projections :math:`b_a` are scaled to a mean square of 1 over all structures; :math:`\lambda = 10^{-8}`.
    Neither labels nor weights of structures count.

    "greedy" takes, one after the other, the structure that enlarges :math:`\log\det M` most: with its rows B by
    :math:`\log\det(I + B M^{-1} B^T)`. A gain only falls as others are taken, so that of before is a bound, and few are
    computed again; see G. L. Nemhauser, L. A. Wolsey and M. L. Fisher, Math. Program. 14, 265 (1978). "maxvol" ranks
    as pace_select does, by the number of a structure's atoms in the active set of all atoms, by pyace's MaxVol; then by
    the sum of its extrapolation grades.

    Either leaves room for the structures that bring each element to the number of atoms that a fit needs.

    Parameters
    ----------
    structures
        Without isolated atoms and test structures. Projections of all atoms are held in memory, 8 bytes per function.
    config
        Basis of linear or nonlinear ACE; an embedding is ignored.
    size
        Number of structures to pick.
    method
        How they are found.

    Raises
    ------
    ValueError
        If there are fewer structures, so many cannot hold the atoms that are needed of each element, or pyace cannot
        take a structure.
    """
    counts = [count_atoms([structure]) for structure in structures]
    check_size(counts, config, size)
    blocks = _blocks(structures, config)
    ranking = _greedy(blocks, len(structures)) if method == 'greedy' else _maxvol(blocks, len(structures))
    picked = _take(ranking, counts, config, size)
    return Reduction(picked, sum(block.log_volume(picked) for block in blocks))


def log_volume(structures: Sequence[Structure], config: PaceTraining, picked: Sequence[int]) -> float:
    """Logarithm of the determinant of the information matrix of some of the structures, however picked.

    Raises
    ------
    ValueError
        If pyace cannot take a structure, or there are too few atoms for a basis.
    """
    return sum(block.log_volume(picked) for block in _blocks(structures, config))


def divide(structures: Sequence[Structure], config: PaceTraining) -> tuple[list[Structure], list[int]]:
    """Divide a training set by ``active_set_size``.

    Returns
    -------
    list of Structure
        Those to train on, in their order: all if there are not more than asked for.
    list of int
        Indices of those left out.
    """
    size = config.active_set_size
    if size is None or len(structures) <= size:
        return list(structures), []
    picked = set(reduce_structures(structures, config, size, config.active_set_method).picked)
    left_out = [index for index in range(len(structures)) if index not in picked]
    return [structures[index] for index in sorted(picked)], left_out


def atoms_needed(config: PaceTraining) -> int:
    """Atoms of each element that a fit and its active set need."""
    return 2 * MIN_FUNCTIONS if config.functions == 'auto' else config.functions


def check_size(counts: Sequence[Mapping[str, int]], config: PaceTraining, size: int) -> None:
    """Find out whether some structures can stand for all.

    Parameters
    ----------
    counts
        Atoms of each element, of each structure.
    config
        Says how many atoms of each element are needed.
    size
        Number of structures that may stay.

    Raises
    ------
    ValueError
        Says how many structures there are, or how many are needed.
    """
    if not 1 <= size <= len(counts):
        raise ValueError(f'{size} structures cannot be picked of {len(counts)}')
    table, elements = _table(counts)
    needed = atoms_needed(config)
    for element, total in zip(elements, table.sum(axis=0), strict=True):
        if total < needed:
            raise ValueError(
                f'all {len(counts)} structures have {total} atoms of {element}, functions = {config.functions} needs '
                f'{needed} of each element: add structures that contain {element}'
            )
    least = len(_cover(table, np.full(len(elements), needed)))
    if size < least:
        raise ValueError(
            f'{size} structures cannot hold {needed} atoms each of {", ".join(elements)}, which functions = '
            f'{config.functions} needs: take at least {least}'
        )


class _Block:
    """Scaled projections of all atoms of one element, structure by structure; the last row is zero, for padding."""

    def __init__(self, rows: FloatArray, owners: IntArray, n_structures: int) -> None:
        scale = np.sqrt(np.mean(rows**2, axis=0))
        self.rows = np.vstack([rows / np.where(scale > 0, scale, 1.0), np.zeros(rows.shape[1])])
        self.owners = owners
        self.starts = np.searchsorted(owners, np.arange(n_structures + 1))
        self.information = PRIOR * np.eye(rows.shape[1])
        self._factor_inverse = self.information / PRIOR**1.5

    def gains(self, chosen: IntArray) -> FloatArray:
        """What each of some structures would add to the logarithm of the determinant."""
        rows = self._padded(chosen) @ self._factor_inverse.T
        # Both products have the same determinant: the smaller one.
        if rows.shape[1] > rows.shape[2]:
            rows = rows.transpose(0, 2, 1)
        products = rows @ rows.transpose(0, 2, 1) + np.eye(rows.shape[1])
        return np.asarray(np.linalg.slogdet(products)[1], dtype=float)

    def add(self, index: int) -> None:
        """Take a structure."""
        rows = self.rows[self.starts[index] : self.starts[index + 1]]
        if len(rows):
            self.information += rows.T @ rows
            factor = np.linalg.cholesky(self.information)
            self._factor_inverse = solve_triangular(factor, np.eye(len(factor)), lower=True)

    def log_volume(self, picked: Sequence[int]) -> float:
        """Logarithm of the determinant that some structures have together."""
        rows = self.rows[:-1][np.isin(self.owners, picked)]
        return float(np.linalg.slogdet(PRIOR * np.eye(rows.shape[1]) + rows.T @ rows)[1])

    def _padded(self, chosen: IntArray) -> FloatArray:
        """Rows of some structures, (n_chosen, most atoms, n_functions)."""
        sizes = self.starts[chosen + 1] - self.starts[chosen]
        steps = np.arange(sizes.max())
        places = np.where(steps < sizes[:, None], self.starts[chosen][:, None] + steps, -1)
        return self.rows[places]


def _blocks(structures: Sequence[Structure], config: PaceTraining) -> list[_Block]:
    """Projections of all atoms, a block for each element."""
    linear = PaceTraining.model_validate(config.model_dump(include=set(PaceTraining.model_fields)))
    elements = sorted({element for structure in structures for element in structure.elements})
    basis = basis_config(linear, elements, function_count(linear, structures))
    builder = RowBuilder(import_pyace().ACEBBasisSet(basis))
    found = [builder.projections(structure.atoms) for structure in structures]
    blocks = []
    for element in elements:
        owners = np.repeat(np.arange(len(found)), [len(rows[element]) for rows in found])
        blocks.append(_Block(np.concatenate([rows.pop(element) for rows in found]), owners, len(found)))
    return blocks


def _greedy(blocks: Sequence[_Block], count: int) -> Iterator[int]:
    """Structures, each with the largest gain after those before it."""
    sizes = np.max([np.diff(block.starts) for block in blocks], axis=0)

    def gains(chosen: IntArray) -> FloatArray:
        found, done = np.zeros(len(chosen)), 0
        # Alike sizes go together, since all are padded to the largest.
        order = np.argsort(-sizes[chosen], kind='stable')
        while done < len(order):
            part = order[done : done + max(1, BATCH // int(sizes[chosen[order[done]]]))]
            found[part] = np.sum([block.gains(chosen[part]) for block in blocks], axis=0)
            done += len(part)
        return found

    bounds, known = gains(np.arange(count)), np.zeros(count, int)
    for step in range(count):
        width = 16
        while known[best := int(bounds.argmax())] < step:
            top = np.sort(np.argpartition(-bounds, min(width, count - step) - 1)[:width])
            stale = top[(known[top] < step) & np.isfinite(bounds[top])]
            bounds[stale], known[stale] = gains(stale), step
            width *= 2
        yield best
        bounds[best] = -np.inf
        for block in blocks:
            block.add(best)


def _maxvol(blocks: Sequence[_Block], count: int) -> Iterator[int]:
    """Structures with most atoms in the active set of all atoms first, then those of the largest grades."""
    pyace = import_pyace('pyace.activelearning')
    members, grades = np.zeros(count, int), np.zeros(count)
    for block in blocks:
        rows = block.rows[:-1]
        active, owners = pyace.compute_active_set({0: rows}, {0: block.owners}, tol=TOLERANCE, max_iters=ITERATIONS)
        members += np.bincount(owners[0], minlength=count)
        largest = np.abs(rows @ pyace.compute_A_active_inverse(active)[0]).max(axis=1)
        grades += np.bincount(block.owners, largest, minlength=count)
    return iter(np.lexsort((-grades, -members)).tolist())


def _take(ranking: Iterator[int], counts: Sequence[Mapping[str, int]], config: PaceTraining, size: int) -> list[int]:
    """First structures of a ranking, the last of them such that each element has the atoms needed."""
    table, elements = _table(counts)
    missing = np.full(len(elements), atoms_needed(config))
    picked: list[int] = []
    for index in ranking:
        if len(picked) == size:
            break
        if index in picked:
            continue
        after = np.maximum(missing - table[index], 0)
        if len(picked) + 1 + len(_cover(table, after, [*picked, index])) <= size:
            picked, missing = [*picked, index], after
        else:
            picked, missing = picked + _cover(table, missing, picked), np.zeros_like(missing)
    return picked


def _table(counts: Sequence[Mapping[str, int]]) -> tuple[IntArray, list[str]]:
    """Atoms by structure and element, and the elements."""
    elements = sorted({element for one in counts for element in one})
    return np.array([[one.get(element, 0) for element in elements] for one in counts]), elements


def _cover(table: IntArray, needed: IntArray, without: Sequence[int] = ()) -> list[int]:
    """Few structures that hold the atoms needed of each element: each time the one with most of what is missing."""
    picked: list[int] = []
    missing = needed.copy()
    while missing.any():
        useful = np.minimum(table, missing).sum(axis=1)
        useful[[*without, *picked]] = 0
        picked.append(int(useful.argmax()))
        missing = np.maximum(missing - table[picked[-1]], 0)
    return picked
