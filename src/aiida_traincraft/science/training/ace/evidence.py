"""Bayesian linear regression: noise and prior follow from the data, by their evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import minimize

from aiida_traincraft.science.atoms.arrays import FloatArray

LARGEST_LOG = 40.0
"""Bound of the logarithm of a prior precision: one that is larger says zero, and no more."""
PRIOR_BOUNDS = ((-8.0, 8.0), (np.log(0.25), np.log(16.0)), (0.0, 8.0))
"""Of ``α, s, b`` (energies in eV). Enough data lie well inside; for few ones that the functions can pass through, no
function would be too rough or too large."""
MOST_ITERATIONS = 100
START_SHARE = 0.05
"""Noise that the search begins with, as a share of the root mean square of the labels."""
LEAST_NOISE, MOST_SHARE = 1e-5, 2.0
"""Bounds of the noise: in the unit of the labels, as data that a linear model made have none, and a share as above."""


@dataclass(frozen=True)
class Kind:
    """Labels of one kind, which have a noise of their own.

    Attributes
    ----------
    reduced
        (m, n + 1): triangular factor of the QR decomposition of ``[A, y]``, or these rows themselves.
    n_rows
        Rows of ``A``.
    weight
        Smallest and largest ratio of the noise of the first kind to that of this one.
    """

    reduced: FloatArray
    n_rows: int
    weight: tuple[float, float] = (1.0, 1.0)

    def spread(self) -> float:
        """Root mean square of the labels."""
        return float(np.sqrt(np.sum(self.reduced[:, -1] ** 2) / self.n_rows))


@dataclass(frozen=True)
class Posterior:
    """What data and prior say of the coefficients.

    Attributes
    ----------
    mean
        (n,) most probable coefficients.
    factor
        (n, n), upper triangular ``T``: the covariance of the coefficients is ``(TᵀT)⁻¹``.
    noise
        Standard deviation of the labels of each kind.
    precision
        (n,) of the prior of each coefficient.
    log_evidence
        Natural logarithm of the probability density of the data.
    """

    mean: FloatArray
    factor: FloatArray
    noise: dict[str, float]
    precision: FloatArray
    log_evidence: float


def triangular(rows: FloatArray) -> FloatArray:
    """R of the QR decomposition of rows ``[A, y]``: it holds AᵀA and Aᵀy in n + 1 rows."""
    return np.asarray(np.linalg.qr(rows, mode='r'), np.float64)


def deviation(factor: FloatArray, rows: FloatArray) -> FloatArray:
    """Standard deviation (m,) that the coefficients of a :class:`Posterior` leave in the predictions of rows (m, n)."""
    return np.asarray(np.linalg.norm(solve_triangular(factor, rows.T, trans='T'), axis=0), np.float64)


def condition(kinds: Mapping[str, Kind], noise: Mapping[str, float], precision: FloatArray) -> Posterior:
    """Posterior of the coefficients for a given noise and prior; for the arguments see :func:`fit_evidence`."""
    n = len(precision)
    prior = np.column_stack([np.diag(np.sqrt(precision)), np.zeros(n)])
    scaled = [kind.reduced / noise[name] for name, kind in kinds.items()]
    triangle = triangular(np.concatenate([*scaled, prior]))
    factor = triangle[:n, :n]
    normal = [kind.n_rows * np.log(2 * np.pi * noise[name] ** 2) for name, kind in kinds.items()]
    evidence = 0.5 * (
        np.sum(np.log(precision)) - sum(normal) - 2 * np.sum(np.log(np.abs(np.diag(factor)))) - triangle[n, n] ** 2
    )
    mean = np.asarray(solve_triangular(factor, triangle[:n, n]), np.float64)
    return Posterior(mean, factor, dict(noise), precision, float(evidence))


def fit_evidence(kinds: Mapping[str, Kind], roughness: FloatArray, factors: FloatArray) -> Posterior:
    """Maximise the evidence over noise and prior.

    The data of kind ``k`` are ``y = A c + ε`` with ``ε ~ N(0, σ_k²)`` and the prior is ``c_i ~ N(0, 1/λ_i)`` with
    ``ln λ_i = α + exp(s) roughness_i + b (factors_i - 1)``: functions that oscillate, and those of many bonds, are
    expected to be small. ``σ_k, α, s, b`` maximise the evidence (C. M. Bishop, Pattern Recognition and Machine
    Learning, 2006, eq. 3.86), whose gradient is known (eq. 3.98 ff.). Such smoothness priors of linear ACE: Witt et
    al., J. Chem. Phys. 159, 164101 (2023).

    Parameters
    ----------
    kinds
        Rows and labels. A model that cannot fit all may give up one kind, of which there are few: hence the bounds of
        the weights.
    roughness
        (n,), see :func:`~aiida_traincraft.science.training.ace.basis.roughness`.
    factors
        (n,) bonds that each function joins.
    """
    n, m = len(roughness), len(kinds)
    shape = np.stack([np.ones(n), roughness, factors - 1.0])

    def exponents(numbers: FloatArray) -> FloatArray:
        """``ln λ`` for ``α, s, b``."""
        return np.asarray(np.array([numbers[0], np.exp(numbers[1]), numbers[2]]) @ shape, float)

    def posterior(numbers: FloatArray) -> Posterior:
        """For the noise of the first kind, the weights of the others and the prior, all by their logarithms."""
        precision = np.exp(np.clip(exponents(numbers[m:]), -LARGEST_LOG, LARGEST_LOG))
        noise = np.exp(numbers[0] - np.array([0.0, *numbers[1:m]]))
        return condition(kinds, dict(zip(kinds, map(float, noise), strict=True)), precision)

    def cost(numbers: FloatArray) -> tuple[float, FloatArray]:
        found, prior = posterior(numbers), numbers[m:]
        inverse = np.asarray(solve_triangular(found.factor, np.eye(n)), float)
        slope = 0.5 * (1.0 - found.precision * (np.sum(inverse**2, axis=1) + found.mean**2))
        by_prior = shape @ np.where(np.abs(exponents(prior)) < LARGEST_LOG, slope, 0.0)
        by_noise = []
        for name, kind in kinds.items():
            rows, labels = kind.reduced[:, :-1], kind.reduced[:, -1]
            squares = np.sum((labels - rows @ found.mean) ** 2) + np.sum((rows @ inverse) ** 2)
            by_noise.append(squares / found.noise[name] ** 2 - kind.n_rows)
        by_weight = -np.array(by_noise[1:])
        gradient = [sum(by_noise), *by_weight, *(by_prior * [1.0, np.exp(prior[1]), 1.0])]
        return -found.log_evidence, -np.array(gradient)

    first, *others = kinds.values()
    spread = max(first.spread(), LEAST_NOISE / START_SHARE)
    weights = np.log([kind.weight for kind in others]).reshape(-1, 2)
    found = minimize(
        cost,
        np.array([np.log(START_SHARE * spread), *weights.mean(axis=1), 0.0, 0.0, 0.0]),
        jac=True,
        method='L-BFGS-B',
        bounds=[np.log([LEAST_NOISE, MOST_SHARE * spread]), *weights, *PRIOR_BOUNDS],
        options={'maxiter': MOST_ITERATIONS},
    )
    return posterior(found.x)
