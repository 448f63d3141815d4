import numpy as np
import pytest
from known_motion import BASIS, MOBILITY, SYMBOLS, TOY, error_of, run, short_intervals, small_and_noisy, toy_trajectory

from hpcstem.errors import StructureError
from hpcstem.potentials.bases import GaussianBasis, SplineBasis
from hpcstem.potentials.design import N_DISTANCE_BINS
from hpcstem.potentials.equations import ForceEquations
from hpcstem.potentials.fitted import mean_over_noise, solve
from hpcstem.potentials.likelihood import Likelihood
from hpcstem.potentials.prior import pair_prior, posterior
from hpcstem.potentials.trajectory import Trajectory

SHORT = 1e-3


@pytest.fixture(scope="module")
def short():
    return short_intervals()[:500]


def fitted(trajectory, interval, rule="trapezoid", lag=0, basis=BASIS, noise_A=0.0):
    equations = ForceEquations(basis, SYMBOLS, interval, rule, lag, MOBILITY)
    return solve(run(equations, trajectory), equations, noise_A)


@pytest.fixture(scope="module")
def short_fit(short):
    return fitted(short, SHORT)


@pytest.fixture(scope="module")
def whole_fit():
    return fitted(short_intervals(), SHORT)


def stated_error(potential, pair):
    """Pair-weighted standard deviation: what `error_of` should be like."""
    r_A = (np.arange(N_DISTANCE_BINS) + 0.5) / N_DISTANCE_BINS * BASIS.cutoff_A
    counts = np.where(potential.sampled(pair, r_A), potential.distances[pair], 0)
    return float(np.sqrt(np.average(potential.deviation(pair, r_A) ** 2, weights=counts)))


@pytest.mark.parametrize(("pair", "spread"), [(0, 0.035), (1, 0.045), (2, 0.1)])
def test_the_toy_potential_is_found_within_its_stated_spread(short_fit, whole_fit, pair, spread):
    # The errors at all distances share one offset, from the tail, so that each fit is one draw.
    assert stated_error(whole_fit, pair) < spread
    assert stated_error(whole_fit, pair) < 0.7 * stated_error(short_fit, pair)
    for potential in (short_fit, whole_fit):
        assert error_of(potential, pair) < 2.5 * stated_error(potential, pair)
        well_A, depth = potential.well(pair)
        deviation = float(potential.deviation(pair, np.array([well_A]))[0])
        assert depth == pytest.approx(TOY.epsilon[pair], abs=3 * deviation)
    assert whole_fit.well(pair)[0] == pytest.approx(TOY.potentials[pair].minimum_A, abs=0.02)


def test_temperature_comes_out(short_fit):
    assert short_fit.kT == pytest.approx(TOY.kT, rel=0.03)
    assert short_fit.relaxation < 0.1


def test_gaussians_fit_too_but_worse(short, short_fit):
    gaussians = fitted(short, SHORT, basis=GaussianBasis(1.05, 4.5, 32))
    assert error_of(gaussians, 0) < 0.06
    assert gaussians.well(0)[0] == pytest.approx(TOY.potentials[0].minimum_A, abs=0.03)


def test_a_higher_rule_mends_a_longer_interval():
    trajectory = toy_trajectory(100, 0.01, cells=(12, 8))
    euler, trapezoid, simpson = (fitted(trajectory, 0.01, rule) for rule in ("euler", "trapezoid", "simpson"))
    assert euler.well(0)[1] < 0.75
    assert euler.well(0)[1] + 0.15 < trapezoid.well(0)[1] < simpson.well(0)[1] - 0.03
    assert error_of(euler, 0) > 2 * error_of(simpson, 0)


def test_lag_one_undoes_localisation_noise():
    noisy, clean = small_and_noisy()
    euler, lagged = fitted(noisy, 2e-3, "euler"), fitted(noisy, 2e-3, lag=1, noise_A=0.05)
    counts = fitted(clean, 2e-3).distances
    assert euler.well(0)[1] > 1.3
    assert lagged.well(0)[1] == pytest.approx(1.0, abs=0.15)
    assert error_of(lagged, 0, counts) < 0.3 * error_of(euler, 0, counts)
    assert lagged.kT == pytest.approx(TOY.kT, rel=0.25)


def test_the_mean_over_noise_is_the_mean_over_noise():
    basis = SplineBasis(1.0, 4.5, 40)
    r_A = np.linspace(1.3, 4.0, 30)
    coefficients = np.linalg.lstsq(basis.values(r_A), TOY.potentials[0].potential(r_A), rcond=1e-6)[0]
    noise_A = 0.07 * np.random.default_rng(1).standard_normal((30_000, 2))
    wanted = [(basis.values(np.hypot(r + noise_A[:, 0], noise_A[:, 1])) @ coefficients).mean() for r in r_A]
    got = basis.values(r_A) @ mean_over_noise(basis, 0.07) @ coefficients
    np.testing.assert_allclose(got, wanted, atol=0.02)


@pytest.mark.parametrize("shape", ["lennard-jones", "soft", "barrier"])
def test_bands_cover_the_truth(shape):
    """Coverage over noise drawn anew about known potentials, at the designs of the toy."""
    truth = {
        "lennard-jones": lambda r: TOY.potentials[0].potential(r),
        "soft": lambda r: 3 * np.exp(-r / 0.8),
        "barrier": lambda r: (1 - np.exp(-3 * (r - 1.42))) ** 2 - 1 + 0.5 * np.exp(-(((r - 2.4) / 0.3) ** 2)),
    }[shape]
    end_A = BASIS.cutoff_A
    slope = (truth(end_A) - truth(end_A - 1e-4)) / 1e-4
    grid_A = np.linspace(BASIS.low_A, end_A, 400)
    energy = truth(grid_A) - truth(end_A) - slope * (grid_A - end_A)
    one = np.linalg.lstsq(BASIS.values(grid_A), energy, rcond=None)[0]
    coefficients = np.concatenate([one, 0.9 * one, 0.8 * one])
    equations = ForceEquations(BASIS, SYMBOLS, SHORT, "euler", 0, MOBILITY)
    likelihood = Likelihood.of(run(equations, short_intervals()[:800]).total)
    eigenvalues, vectors = np.linalg.eigh(likelihood.precision)
    prior = [pair_prior(BASIS, 3)]
    rng = np.random.default_rng(7)
    r_A = np.linspace(1.2, 4.4, 60)
    values = BASIS.values(r_A)
    inside = []
    for _ in range(20):
        pull = likelihood.precision @ coefficients
        pull = pull + vectors @ (np.sqrt(np.maximum(eigenvalues, 0)) * rng.standard_normal(len(pull)))
        drawn = Likelihood(likelihood.precision, pull, 1.0)
        found = posterior(drawn, prior)
        for pair in range(3):
            own = slice(pair * BASIS.n_columns, (pair + 1) * BASIS.n_columns)
            deviation = np.sqrt(np.einsum("ri,ij,rj->r", values, found.covariance[own, own], values))
            inside.append(np.abs(values @ (found.coefficients - coefficients)[own]) < 1.96 * deviation)
    assert 0.90 <= np.mean(inside) <= 0.995


def test_where_no_pair_was_seen_the_mask_says_so(short_fit):
    assert not short_fit.sampled(0, np.array([0.5, 0.9, 4.6, 9.0])).any()
    assert short_fit.sampled(0, np.array([1.42, 2.5, 4.4])).all()


def still(n_frames, scale=1.0):
    base_A = np.stack(np.meshgrid(np.arange(5.0), np.arange(5.0)), -1).reshape(1, -1, 2) * 1.5
    rng = np.random.default_rng(2)
    positions_A = base_A + 0.05 * rng.standard_normal((n_frames, 25, 2))
    return Trajectory.from_arrays(positions_A * scale, np.arange(25) % 2, SYMBOLS)


@pytest.mark.parametrize(
    ("make", "thing"),
    [
        (lambda: still(1), "frames of the trajectory; got 1"),
        (lambda: still(9, scale=0.1), "pairs of atoms; got half of them closer"),
        (lambda: still(9, scale=10.0), "pairs of atoms; got none closer"),
        (
            lambda: Trajectory.from_arrays(
                np.repeat(still(2).positions_A[None, :25], 9, 0), np.arange(25) % 2, SYMBOLS
            ),
            "motion",
        ),
    ],
    ids=["one frame", "nanometres", "picometres", "no motion"],
)
def test_a_trajectory_that_cannot_be_fitted_says_why(make, thing):
    with pytest.raises(StructureError) as error:
        fitted(make(), 1.0)
    assert str(error.value).startswith(thing)
