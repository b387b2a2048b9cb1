"""The Bayesian fit against the marginal likelihood of its definition, and what a prior of smooth functions is for."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from aiida_traincraft.science.config.training.pace_linear import PaceLinearTraining
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.science.training.ace.evidence import Kind, condition, deviation, fit_evidence, triangular
from aiida_traincraft.science.training.ace.linear import fit_linear

pytest.importorskip('pyace')


@pytest.fixture(scope='module')
def problem():
    """Rows, labels of two accuracies, roughness and number of bonds of functions, the rough ones of which are small."""
    rng = np.random.default_rng(3)
    rough, bonds = rng.uniform(0, 3, 12), rng.integers(1, 4, 12).astype(float)
    rows = rng.normal(size=(60, 12))
    coefficients = rng.normal(size=12) * np.exp(-0.5 * (-1.0 + 1.5 * rough + 0.4 * (bonds - 1)))
    return rows, rows @ coefficients + rng.normal(0, np.where(np.arange(60) < 30, 0.02, 0.2)), rough, bonds


def reduce(rows, labels, weight=(1.0, 1.0)):
    return Kind(triangular(np.column_stack([rows, labels])), len(rows), weight)


def marginal(rows, labels, noise, precision):
    """``ln N(y; 0, σ² + A Λ⁻¹ Aᵀ)``, the evidence as it is defined."""
    covariance = np.diag(np.broadcast_to(noise**2, len(rows))) + (rows / precision) @ rows.T
    return multivariate_normal(np.zeros(len(rows)), covariance).logpdf(labels)


def test_posterior_and_evidence_are_those_of_the_definition(problem):
    rows, labels, rough, _ = problem
    precision = np.exp(rough)
    found = condition({'all': reduce(rows, labels)}, {'all': 0.1}, precision)
    assert found.log_evidence == pytest.approx(marginal(rows, labels, 0.1, precision), rel=1e-9)
    covariance = np.linalg.inv(rows.T @ rows / 0.1**2 + np.diag(precision))
    np.testing.assert_allclose(found.mean, covariance @ rows.T @ labels / 0.1**2, rtol=1e-9)
    expected = np.sqrt(np.einsum('ij,jk,ik->i', rows, covariance, rows))
    np.testing.assert_allclose(deviation(found.factor, rows), expected, rtol=1e-9)


def test_noise_and_prior_maximise_the_marginal_likelihood(problem):
    rows, labels, rough, bonds = problem
    exact = np.arange(len(rows)) < 30
    kinds = {'exact': reduce(rows[exact], labels[exact]), 'rough': reduce(rows[~exact], labels[~exact], (0.01, 10.0))}
    found = fit_evidence(kinds, rough, bonds)

    def cost(numbers):
        prior = np.exp(numbers[2] + np.exp(numbers[3]) * rough + numbers[4] * (bonds - 1))
        return -marginal(rows, labels, np.where(exact, *np.exp(numbers[:2])), prior)

    options = {'maxiter': 6000, 'maxfev': 6000, 'fatol': 1e-8}
    starts = ([-3.0, -3.0, 0.0, 0.0, 0.0], [-4.0, -2.0, -1.0, 0.3, 0.3])
    best = min((minimize(cost, start, method='Nelder-Mead', options=options) for start in starts), key=lambda b: b.fun)
    assert found.log_evidence == pytest.approx(-best.fun, abs=1e-3)
    assert list(found.noise.values()) == pytest.approx(np.exp(best.x[:2]), rel=1e-2)
    assert found.noise == pytest.approx({'exact': 0.02, 'rough': 0.2}, rel=0.4)


def strained(count, spread, rng):
    cell = bulk('Cu', cubic=True)
    for _ in range(count):
        atoms = cell.copy()
        atoms.set_cell(cell.cell @ (np.eye(3) + rng.normal(0, spread / 2, (3, 3))), scale_atoms=True)
        atoms.positions += rng.normal(0, spread, atoms.positions.shape)
        bare = atoms.copy()
        atoms.calc = EMT()
        labels = {'energy': atoms.get_potential_energy(), 'forces': atoms.get_forces(), 'stress': atoms.get_stress()}
        yield Structure(bare, labels)


def test_more_functions_than_the_data_carry_do_no_harm_outside_them():
    """Fitted to cold frames, asked for hot ones: where one ridge for all functions extrapolates by tens of times."""
    rng = np.random.default_rng(7)
    cold, hot = list(strained(12, 0.06, rng)), list(strained(6, 0.15, rng))
    errors = {}
    for regression in ('bayesian', 'ridge'):
        config = PaceLinearTraining(functions=120, cutoff=5.0, regression=regression)
        fit = fit_linear(cold, config, {'Cu': 3.51}, seed=0, report=lambda line: None)
        errors[regression] = _force_error(fit, hot)
    spread = np.sqrt(np.mean(np.concatenate([np.ravel(item.properties['forces']) for item in hot]) ** 2))
    assert errors['bayesian'] < 0.2 * spread
    assert errors['bayesian'] < 0.7 * errors['ridge']


def _force_error(fit, frames):
    import pyace

    differences = []
    for frame in frames:
        atoms = frame.atoms.copy()
        atoms.calc = pyace.PyACECalculator(fit.basis)
        differences.append(np.ravel(atoms.get_forces() - frame.properties['forces']))
    return np.sqrt(np.mean(np.concatenate(differences) ** 2))
