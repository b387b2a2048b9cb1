"""Pick the frames farthest from each other and from the training set."""

from __future__ import annotations

from typing import Literal

import numpy as np

from aiida_traincraft.science.registry import register
from aiida_traincraft.science.selection.descriptor import frame_descriptor
from aiida_traincraft.science.selection.pool import Array, PickConfig, Pool, StageResult

# Squared distances below this share of the largest squared norm are rounding, not distance.
ROUNDING = 1e-12


class DiversityConfig(PickConfig):
    """The share of the budget, nothing else."""

    type: Literal['diversity'] = 'diversity'


@register('selector', 'diversity', config=DiversityConfig)
def diversity(pool: Pool, config: DiversityConfig) -> StageResult:
    """Pick: farthest point sampling that starts from the training set and the frames chosen before.

    The distance is Euclidean between frame descriptors, each column divided by its standard deviation over training
    set and pool. Descriptors are the potential's (property ``descriptor``) where all frames and the training set have
    them; else the model-free ones of the pool alone, and the training set is not known. Without any known point the
    first pick is the frame nearest the mean. A frame that coincides with a known or picked one is never picked.
    """
    share = pool.share(config)
    if not share or not pool.alive:
        return pool.pick([], share)
    training, frames = _descriptors(pool)
    points = _scaled(np.vstack([training, frames]))
    n_known = len(training) + len(pool.chosen)
    order = _farthest(points, n_known, share)
    return pool.pick([pool.alive[place - n_known] for place in order], share, 'no frame differs from those known')


def _descriptors(pool: Pool) -> tuple[Array, Array]:
    """Descriptors of the training set (no rows if unknown), and of the chosen and then the alive frames."""
    frames = [pool.frames[index] for index in (*pool.chosen, *pool.alive)]
    training = pool.context.training_descriptors
    vectors = [frame.properties.get('descriptor') for frame in frames]
    if training is not None and all(vector is not None and len(vector) == training.shape[1] for vector in vectors):
        return np.asarray(training, np.float64), np.array(vectors, np.float64)
    elements = sorted({element for frame in frames for element in frame.elements})
    described = np.array([frame_descriptor(frame, elements) for frame in frames])
    return described[:0], described


def _scaled(points: Array) -> Array:
    """Centre the columns and scale them to unit standard deviation; drop constant ones."""
    spread = points.std(axis=0)
    varies = spread > 1e-10 * np.abs(points).max(axis=0)
    return np.asarray((points - points.mean(axis=0))[:, varies] / spread[varies])


def _farthest(points: Array, n_known: int, share: int) -> list[int]:
    """Rows picked by farthest point sampling after the first ``n_known`` rows, in order, none coinciding."""
    from skmatter.sample_selection import FPS

    # The sampler refuses a single row, and fewer than two columns.
    points = np.pad(points, ((0, 0), (0, max(0, 2 - points.shape[1]))))
    start = list(range(n_known)) or [int(np.argmin((points**2).sum(axis=1)))]
    if len(points) == 1:
        return start
    n_select = min(len(points), n_known + share)
    sampler = FPS(initialize=start, n_to_select=n_select).fit(points)
    # Its own score_threshold cuts in the wrong place after a list of starts, so the cut is made here.
    distances = sampler.get_select_distance()
    floor = ROUNDING * (points**2).sum(axis=1).max()
    order = zip(sampler.selected_idx_[n_known:], distances[n_known:], strict=True)
    return [int(place) for place, distance in order if distance > floor]
