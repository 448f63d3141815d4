import numpy as np
from scipy.optimize import approx_fprime

from hpcstem.potentials.bases import SplineBasis
from hpcstem.potentials.likelihood import Likelihood
from hpcstem.potentials.prior import PriorGroup, _Evidence, pair_prior, posterior

BASIS = SplineBasis(1.0, 6.0, 14)
R_A = np.linspace(1.1, 5.5, 200)


def noisy_slopes(energies, noise):
    """Likelihood of slopes of two pairs measured at each distance."""
    rng = np.random.default_rng(3)
    slopes, n = BASIS.slopes(R_A) / noise, BASIS.n_columns
    precision, pull = np.zeros((len(energies) * n,) * 2), np.zeros(len(energies) * n)
    for k, energy in enumerate(energies):
        own = slice(k * n, (k + 1) * n)
        precision[own, own] = slopes.T @ slopes
        pull[own] = slopes.T @ (np.gradient(energy(R_A), R_A) / noise + rng.standard_normal(len(R_A)))
    return Likelihood(precision, pull, 1.0)


def test_the_gradient_is_that_of_the_evidence():
    likelihood = noisy_slopes([lambda r: 2 / r**3, lambda r: 3 / r**3, lambda r: np.exp(-r)], 0.3)
    evidence = _Evidence(likelihood, [pair_prior(BASIS, 2), PriorGroup(1, np.eye(BASIS.n_columns)[None])])
    logs = np.random.default_rng(1).normal(size=evidence.n_logs)
    numerical = approx_fprime(logs, lambda x: evidence.at(x)[0], 1e-6)
    np.testing.assert_allclose(evidence.at(logs)[1], numerical, rtol=1e-3, atol=1e-4)


def test_a_power_law_is_found_beyond_what_a_straight_line_would_give():
    energies = [lambda r: 40 / r**6, lambda r: 20 / r**6]
    likelihood = noisy_slopes(energies, 1.0)
    found = posterior(likelihood, [pair_prior(BASIS, 2)])
    for k, energy in enumerate(energies):
        own = slice(k * BASIS.n_columns, (k + 1) * BASIS.n_columns)
        values = BASIS.values(R_A)
        error = values @ found.coefficients[own] - (energy(R_A) - energy(6.0))
        deviation = np.sqrt(np.einsum("ri,ij,rj->r", values, found.covariance[own, own], values))
        assert np.abs(error).max() < 0.06 * energy(R_A[0])
        assert (np.abs(error) < 3 * deviation).mean() > 0.9
