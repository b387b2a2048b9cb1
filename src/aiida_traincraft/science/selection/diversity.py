"""Pick the frames farthest from each other and from the training set."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.datasets.near_duplicates import describe
from aiida_traincraft.science.registry import register
from aiida_traincraft.science.selection.descriptor import frame_descriptor
from aiida_traincraft.science.selection.pool import PickConfig, Pool, StageResult
from aiida_traincraft.science.structure import Structure

# Squared distances below this share of the largest squared norm are rounding, not distance.
ROUNDING = 1e-12
BLOCK = 1000
"""Rows whose distances to as many others are held at once (8 MB)."""


class DiversityConfig(PickConfig):
    """The share of the budget, and what frames are compared by."""

    aliases: ClassVar[tuple[str, ...]] = ('fps', 'farthest_point')
    type: Literal['diversity'] = 'diversity'
    descriptor: Literal['auto', 'model', 'soap'] = 'auto'
    """The potential's own where all frames and the training set have them, else composition and distances (``auto``);
    the potential's own or an error (``model``); or SOAP power spectra, averaged over the atoms (``soap``)."""


@register('selector', 'diversity', config=DiversityConfig)
def diversity(pool: Pool, config: DiversityConfig) -> StageResult:
    """Pick: farthest point sampling that starts from the training set and the frames chosen before.

    The distance is Euclidean between frame descriptors, each column divided by its standard deviation over training
    set and pool; SOAP is compared as it is, since its columns have one scale. Descriptors are the potential's
    (property ``descriptor``) where all frames and the training set have them; else those of the pool alone, and the
    training set is not known. Without any known point the first pick is the frame nearest the mean. A frame that
    coincides with a known or picked one is never picked.

    Raises
    ------
    ValueError
        If a descriptor is not finite, if the potential's are asked for and not there, or if SOAP is and a frame cannot
        be described (see :func:`~aiida_traincraft.science.datasets.near_duplicates.describe`).

    Examples
    --------
    .. code-block:: toml

        [[stages]]
        type = "diversity"
        fraction = 0.8
        descriptor = "soap"
    """
    share = pool.share(config)
    if not share or not pool.alive:
        return pool.pick([], share)
    points, n_training = _descriptors(pool, config.descriptor)
    means = points.mean(axis=0)
    points -= means
    if config.descriptor != 'soap':
        _scale(points, means)
    order = _farthest(points, n_training + len(pool.chosen), share)
    return pool.pick([pool.alive[place] for place in order], share, 'no frame differs from those known')


def _descriptors(pool: Pool, descriptor: str) -> tuple[FloatArray, int]:
    """Descriptors of the training set, the chosen and the alive frames, in that order; how many are the first."""
    frames = [pool.frames[index] for index in (*pool.chosen, *pool.alive)]
    if descriptor == 'soap':
        return _soap(frames), 0
    training = pool.context.training_descriptors
    vectors = [frame.properties.get('descriptor') for frame in frames]
    if training is not None and all(vector is not None and len(vector) == training.shape[1] for vector in vectors):
        points = np.empty((len(training) + len(vectors), training.shape[1]))
        points[: len(training)] = training
        for row, vector in enumerate(vectors, start=len(training)):
            points[row] = vector
        return points, len(training)
    if descriptor == 'model':
        raise ValueError(
            'selector diversity: "descriptor" is "model", but not all frames and the training set have descriptors of '
            'one potential; use "auto" or "soap"'
        )
    elements = sorted({element for frame in frames for element in frame.elements})
    return np.array([frame_descriptor(frame, elements) for frame in frames]), 0


def _soap(frames: list[Structure]) -> FloatArray:
    """Composition, without which the spectra of different elements cannot be compared, and the spectra."""
    elements = sorted({element for frame in frames for element in frame.elements})
    shares = np.array([[np.mean(frame.atoms.symbols == element) for element in elements] for frame in frames])
    return np.hstack([shares, describe(frames)])


def _scale(points: FloatArray, means: FloatArray) -> None:
    """Scale columns, of which the means are taken off, to unit standard deviation; constant ones to zero; in place."""
    spread = np.sqrt(np.einsum('ij,ij->j', points, points) / len(points))
    # A column that is constant but for the rounding of its mean.
    points /= np.where(spread > 1e-10 * np.abs(means), spread, np.inf)


def _farthest(points: FloatArray, n_known: int, share: int) -> list[int]:
    """Places behind the first ``n_known`` rows picked by farthest point sampling, in order, none coinciding."""
    norms = np.einsum('ij,ij->i', points, points)
    if not np.isfinite(norms).all():
        raise ValueError('selector diversity: some descriptors are not finite; the potential that made them is broken')
    known, candidates = points[:n_known], points[n_known:]
    nearest = np.full(len(candidates), np.inf)
    # A block at a time: matrix products, and memory that does not grow with the pool.
    for first in range(0, n_known, BLOCK):
        for start in range(0, len(candidates), BLOCK):
            part = slice(start, start + BLOCK)
            products = candidates[part] @ known[first : first + BLOCK].T
            shifted = (norms[first : min(first + BLOCK, n_known)] - 2.0 * products).min(axis=1)
            np.minimum(nearest[part], norms[n_known:][part] + shifted, out=nearest[part])
    floor = ROUNDING * norms.max()
    order: list[int] = []
    while len(order) < min(share, len(candidates)):
        best = int(nearest.argmax()) if n_known or order else int(norms.argmin())
        if nearest[best] <= floor:
            break
        order.append(best)
        to_best = norms[n_known:] + norms[n_known + best] - 2.0 * (candidates @ candidates[best])
        np.minimum(nearest, to_best, out=nearest)
    return order
