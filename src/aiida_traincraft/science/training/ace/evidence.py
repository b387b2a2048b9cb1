"""Bayesian linear regression: noise and prior follow from the data, by their evidence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import minimize

from aiida_traincraft.science.atoms.arrays import FloatArray

LARGEST_LOG = 40.0
"""Bound of the logarithm of a prior precision: one that is larger says zero, and no more."""
MOST_ITERATIONS = 100
START_SHARE = 0.05
"""Noise that the search begins with, as a share of the root mean square of the labels."""


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
        Standard deviation of a row of weight 1 (eV/Å, as a force component has weight 1).
    precision
        (n,) of the prior of each coefficient.
    log_evidence
        Natural logarithm of the probability density of the data.
    """

    mean: FloatArray
    factor: FloatArray
    noise: float
    precision: FloatArray
    log_evidence: float

    def deviation(self, rows: FloatArray) -> FloatArray:
        """Standard deviation (m,) that the coefficients leave in the predictions of rows (m, n)."""
        return np.asarray(np.linalg.norm(solve_triangular(self.factor, rows.T, trans='T'), axis=0), float)


def condition(reduced: FloatArray, n_rows: int, noise: float, precision: FloatArray) -> Posterior:
    """Posterior of the coefficients for a given noise and prior; for the arguments see :func:`fit_evidence`."""
    n = len(precision)
    prior = np.column_stack([np.diag(np.sqrt(precision)), np.zeros(n)])
    triangle = np.linalg.qr(np.concatenate([reduced / noise, prior]), mode='r')
    factor = np.asarray(triangle[:n, :n], float)
    evidence = 0.5 * (
        np.sum(np.log(precision))
        - n_rows * np.log(2 * np.pi * noise**2)
        - 2 * np.sum(np.log(np.abs(np.diag(factor))))
        - triangle[n, n] ** 2
    )
    mean = np.asarray(solve_triangular(factor, triangle[:n, n]), float)
    return Posterior(mean, factor, noise, precision, float(evidence))


def fit_evidence(reduced: FloatArray, n_rows: int, roughness: FloatArray, factors: FloatArray) -> Posterior:
    """Maximise the evidence over noise and prior.

    The data are ``y = A c + ε`` with ``ε ~ N(0, σ²)`` and the prior is ``c_i ~ N(0, 1/λ_i)`` with ``ln λ_i = α + exp(s)
    roughness_i + b (factors_i - 1)``: functions that oscillate, and those of many bonds, are expected to be small. The
    four numbers ``σ, α, s, b`` maximise the evidence (C. M. Bishop, Pattern Recognition and Machine Learning, 2006,
    eq. 3.86), whose gradient is known (eq. 3.98 ff.). Such smoothness priors of linear ACE: Witt et al., J. Chem. Phys.
    159, 164101 (2023).

    Parameters
    ----------
    reduced
        (m, n + 1): triangular factor of the QR decomposition of the weighted ``[A, y]``, or these rows themselves.
    n_rows
        Rows of ``A`` that have a weight.
    roughness
        (n,), see :func:`~aiida_traincraft.science.training.ace.basis.roughness`.
    factors
        (n,) bonds that each function joins.
    """
    n = len(roughness)
    shape = np.stack([np.ones(n), roughness, factors - 1.0])

    def exponents(numbers: FloatArray) -> FloatArray:
        """``ln λ`` for ``ln σ, α, s, b``."""
        return np.asarray(np.array([numbers[1], np.exp(numbers[2]), numbers[3]]) @ shape, float)

    def posterior(numbers: FloatArray) -> Posterior:
        precision = np.exp(np.clip(exponents(numbers), -LARGEST_LOG, LARGEST_LOG))
        return condition(reduced, n_rows, float(np.exp(numbers[0])), precision)

    def cost(numbers: FloatArray) -> tuple[float, FloatArray]:
        found = posterior(numbers)
        certain = found.precision * np.sum(np.asarray(solve_triangular(found.factor, np.eye(n))) ** 2, axis=1)
        slope = 0.5 * (1.0 - certain - found.precision * found.mean**2)
        by_prior = shape @ np.where(np.abs(exponents(numbers)) < LARGEST_LOG, slope, 0.0)
        residual = reduced[:, -1] - reduced[:, :-1] @ found.mean
        by_noise = residual @ residual / found.noise**2 + n - np.sum(certain) - n_rows
        return -found.log_evidence, -np.array([by_noise, *(by_prior * [1.0, np.exp(numbers[2]), 1.0])])

    spread = np.sqrt(np.sum(reduced[:, -1] ** 2) / n_rows)
    start = np.array([np.log(START_SHARE * spread), 0.0, 0.0, 0.0])
    return posterior(minimize(cost, start, jac=True, method='L-BFGS-B', options={'maxiter': MOST_ITERATIONS}).x)
