"""What an ACE potential is held to where there are no data: atoms that come too close repel each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import nnls

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.models.ace_file import CORE_MARGIN, Pair, core_onsets
from aiida_traincraft.science.models.cells import prepare_atoms
from aiida_traincraft.science.models.pyace_import import import_pyace
from aiida_traincraft.science.training.ace.approaches import Way, approaches
from aiida_traincraft.science.training.ace.design import RowBuilder
from aiida_traincraft.science.training.ace.evidence import Posterior

LEAST_RISE = 0.001
"""Energy (eV) by which each step inwards has to rise."""
LARGEST_FALL = 0.01
"""Energy (eV) by which a step of a potential that cannot be bound may fall."""
SLACK = 1e-5
"""What may lack of a bound, as a fraction of the standard deviation that the data leave there."""
RAISES = 4
"""Equal steps by which an onset of the core repulsion is raised."""
HOTTER = 0.3
"""Distance (Å) that a raised onset stays below the shortest of the data: a wall there would bend hotter runs."""
DEAREST = 0.1
"""Share of the labels' squared noise that bounds may add before a higher onset is tried."""


@dataclass(frozen=True)
class Bounds:
    """What the coefficients are held to: ``rows @ coefficients >= least`` (eV), and the nearest pair in each."""

    rows: FloatArray
    least: FloatArray
    pairs: list[Pair]


def repulsion_bounds(
    ways: Sequence[Way], rows: Sequence[FloatArray], onsets: Mapping[Pair, float], bent: bool = True
) -> Bounds:
    """Bounds by which the energy rises inwards on every way; if ``bent``, ever faster as long as it is that of ACE.

    Parameters
    ----------
    ways
        Of :func:`approaches`.
    rows
        Those of the atoms of each way (n_steps, n_atoms, n), see :meth:`RowBuilder.atom_rows`.
    onsets
        Of the core repulsion (Å).
    """
    found, least, pairs = [], [], []
    for way, steps in zip(ways, rows, strict=True):
        shares = np.array([step.share(onsets) for step in way.steps])
        core = (1.0 - shares) * [step.core for step in way.steps]
        energies = shares[:, :, None] * steps
        near = [step.nearest_pair(onsets) for step in way.steps]
        for index in range(1, len(shares)):
            rises, added = energies[index] - energies[index - 1], core[index] - core[index - 1]
            bare = shares[index] == 1.0
            if index < way.rising and bare.all():
                continue
            # Where all come closer, the repulsion of a few must not pay for a fall of the others.
            for group in [bare, ~bare] if way.is_compressed else [np.ones_like(bare)]:
                if group.any():
                    found.append(rises[group].sum(axis=0))
                    least.append(LEAST_RISE - added[group].sum())
                    pairs.append(near[index])
            # What the core repulsion takes over from is not above it.
            if (shares[index][~bare] > 0.0).any():
                found.append(-steps[index][~bare].sum(axis=0))
                least.append(-way.steps[index].core[~bare].sum())
                pairs.append(near[index])
        if bent:
            last = int((shares == 1.0).all(axis=1).sum())
            bends = np.diff(energies[:last].sum(axis=1), n=2, axis=0)
            found += list(bends)
            least += [0.0] * len(bends)
            pairs += near[2:last]
    return Bounds(np.array(found), np.array(least), pairs)


def most_probable(posterior: Posterior, bounds: Bounds | None) -> tuple[FloatArray, FloatArray]:
    """Most probable coefficients (n,) of a posterior within bounds, and the squared residual that each bound adds.

    A quadratic programme, solved in its dual form as a problem of non-negative least squares (C. L. Lawson and R. J.
    Hanson, Solving Least Squares Problems, 1974, ch. 23). Each bound may lack 1e-5 of the standard deviation of what it
    bounds, so that there always is a solution. Squared residuals are in units of the noise.
    """
    if bounds is None:
        return posterior.mean, np.zeros(0)
    scaled = np.asarray(solve_triangular(posterior.factor, bounds.rows.T, trans='T'), float).T
    deviations = np.linalg.norm(scaled, axis=1)
    deviations[deviations == 0] = np.inf
    scaled /= deviations[:, None]
    lacking = (bounds.least - bounds.rows @ posterior.mean) / deviations
    if not (lacking > 0).any():
        return posterior.mean, np.zeros(len(lacking))
    lower = cholesky(scaled @ scaled.T + SLACK * np.eye(len(scaled)), lower=True)
    multipliers, _ = nnls(lower.T, solve_triangular(lower, lacking, lower=True), maxiter=100 * len(lacking))
    coefficients = posterior.mean + solve_triangular(posterior.factor, scaled.T @ multipliers)
    return np.asarray(coefficients, float), np.asarray(multipliers * lacking, float)


def bound_fit(
    builder: RowBuilder, posterior: Posterior, frames: Sequence[Atoms], shortest: Mapping[Pair, float], n_labels: int
) -> tuple[Bounds, dict[Pair, float]]:
    """Bounds of a linear fit, and the lowest onsets (Å) of the core repulsion with which the data can bear them.

    The onset of the pair whose bounds cost most is raised, until all together add less than a tenth to the squared
    residual of the labels, or there is none left to raise: then they cost what they cost.
    """
    ways = approaches(builder.basis, frames, shortest)
    rows = [np.array([builder.atom_rows(step.atoms) for step in way.steps]) for way in ways]

    def cost(onsets: Mapping[Pair, float]) -> tuple[FloatArray, list[Pair]]:
        bounds = repulsion_bounds(ways, rows, onsets)
        costs = most_probable(posterior, bounds)[1]
        return costs if costs.sum() > DEAREST * n_labels else np.zeros(0), bounds.pairs

    onsets = _lowest(core_onsets(builder.elements, shortest), shortest, HOTTER, cost)
    return repulsion_bounds(ways, rows, onsets), onsets


def repelling_onsets(basis: Any, frames: Sequence[Atoms], shortest: Mapping[Pair, float]) -> dict[Pair, float]:
    """Lowest onsets (Å) of the core repulsion above which any ACE rises on all its ways inwards.

    Parameters
    ----------
    basis
        pyace's ``ACEBBasisSet``, without core repulsion.
    frames
        Training structures.
    shortest
        Shortest distance (Å) of each pair of elements in them.
    """
    calculator = import_pyace().PyACECalculator(basis)
    ways, energies = approaches(basis, frames, shortest), []
    for way in ways:
        atoms = []
        for step in way.steps:
            calculator.calculate(prepare_atoms(step.atoms, basis.cutoffmax))
            atoms.append(np.asarray(calculator.results['energies'], float)[:, None])
        energies.append(np.array(atoms))

    def falls(onsets: Mapping[Pair, float]) -> tuple[FloatArray, list[Pair]]:
        bounds = repulsion_bounds(ways, energies, onsets, bent=False)
        lacking = bounds.least - bounds.rows[:, 0]
        return np.where(lacking > LARGEST_FALL, lacking, 0.0), bounds.pairs

    return _lowest(core_onsets(list(basis.elements_name), shortest), shortest, CORE_MARGIN, falls)


def _lowest(
    usual: Mapping[Pair, float],
    shortest: Mapping[Pair, float],
    room: float,
    cost: Callable[[Mapping[Pair, float]], tuple[FloatArray, list[Pair]]],
) -> dict[Pair, float]:
    """Onsets (Å), raised one by one where the cost of a pair is largest until nothing costs any more.

    They stay some room (Å) below the shortest distances of the data.
    """
    steps = {pair: (shortest.get(pair, 0.0) - room - onset) / RAISES for pair, onset in usual.items()}
    raises = {pair: 0 for pair, step in steps.items() if step > 0}
    while True:
        onsets = {pair: onset + raises.get(pair, 0) * steps[pair] for pair, onset in usual.items()}
        found: dict[Pair, float] = {}
        for one, pair in zip(*cost(onsets), strict=False):
            if raises.get(pair, RAISES) < RAISES:
                found[pair] = found.get(pair, 0.0) + float(one)
        dearest = max(found, key=lambda pair: found[pair], default=None)
        if dearest is None or found[dearest] <= 0:
            return onsets
        raises[dearest] += 1
