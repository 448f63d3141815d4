import numpy as np
import pytest

from hpcstem.errors import StructureError
from hpcstem.lattice.landau import MONOLAYER, ONE_COMPONENT, fit_landau
from hpcstem.lattice.profiles import decay, fit_boundary_map, fit_interface, fit_wall, wall

N_RUNS = 300
# 95 % of 300 runs, and twice their binomial error on either side.
COVERAGE = (0.925, 0.975)
MONOLAYER_TRUTH = np.array([-2, -1.5, 0.6, 0.3, 0.5, 0.8, 0.05, 0.08, 0.04, 0.03, 0.1])
SINGLE_TRUTH = np.array([-4.0, 2.0, 0.3])


def covered(interval, truth):
    return (interval[:, 0] < truth) & (truth < interval[:, 1])


@pytest.mark.parametrize("sigma", [None, 0.05])
def test_wall_parameters_lie_in_their_intervals_as_often_as_stated(sigma):
    generator = np.random.default_rng(1)
    x_A, truth = np.linspace(-20, 20, 40), np.array([0.8, 2.0, 4.0])
    hits = []
    for _ in range(N_RUNS):
        fit = fit_wall(x_A, wall(x_A, *truth) + generator.normal(0, 0.05, 40), sigma)
        hits.append(covered(fit.interval(), truth))
    assert COVERAGE[0] <= np.mean(hits) <= COVERAGE[1]


def test_interface_parameters_lie_in_their_intervals_as_often_as_stated():
    generator = np.random.default_rng(2)
    z_A, truth = np.arange(1, 40) * 0.25, np.array([0.787, 0.5, 1.1])
    hits, derived = [], []
    for _ in range(N_RUNS):
        fit = fit_interface(z_A, decay(z_A, *truth) + generator.normal(0, 0.01, len(z_A)), 0.01)
        hits.append(covered(fit.curve.interval(), truth))
        derived.append(abs(fit.correlation_length_A - np.sqrt(2) * 1.1) < 1.96 * fit.correlation_sigma_A)
        derived.append(abs(fit.extrapolation_A - 1.1) < 1.96 * fit.extrapolation_sigma_A)
    assert COVERAGE[0] <= np.mean(hits) <= COVERAGE[1]
    assert COVERAGE[0] <= np.mean(derived) <= COVERAGE[1]


def test_the_published_profile_is_found_without_noise():
    """η = 0.787 (1 - 0.5 exp(-(z - 1) / 1.1)), z counted from the first layer."""
    z_A = np.arange(0, 12, 0.5)
    fit = fit_interface(z_A, 0.787 * (1 - 0.5 * np.exp(-z_A / 1.1)))
    np.testing.assert_allclose(fit.curve.values, [0.787, 0.5, 1.1], rtol=1e-6)
    assert fit.correlation_length_A == pytest.approx(np.sqrt(2) * 1.1)
    assert fit.extrapolation_A == pytest.approx(1.1)


@pytest.mark.parametrize("sign", [1, -1])
def test_walls_of_both_signs_are_found(sign):
    x_A = np.linspace(-30, 30, 80)
    fit = fit_wall(x_A, sign * wall(x_A, 0.6, -4.0, 1.5))
    np.testing.assert_allclose(fit.values, [sign * 0.6, -4.0, 1.5], rtol=1e-6)


def test_a_map_gives_the_walls_and_the_interface():
    generator = np.random.default_rng(3)
    x_A, z_A = np.linspace(-70, 70, 36), np.arange(1, 25) * 3.9
    heights = decay(z_A, 0.787, 0.5, 11.0)
    eta = heights[:, None] * wall(x_A, 1.0, 3.0, 15.0) + generator.normal(0, 0.02, (24, 36))
    found = fit_boundary_map(x_A, z_A, eta, 0.02)
    rows = np.array([row.values for row in found.walls])
    errors = np.array([row.sigma for row in found.walls])
    assert np.abs((rows - np.column_stack([heights, np.full(24, 3.0), np.full(24, 15.0)])) / errors).max() < 4.5
    scaled = (found.interface.curve.values - (0.787, 0.5, 11.0)) / found.interface.curve.sigma
    assert np.abs(scaled).max() < 3.5
    assert 0.5 < np.mean([row.chi_square / row.n_free for row in found.walls]) < 1.5


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (lambda: fit_wall(np.arange(3.0), np.zeros(3)), "more than its 3 parameters"),
        (lambda: fit_wall(np.arange(9.0), np.full(9, np.nan)), "finite x and y"),
        (lambda: fit_wall(np.zeros(9), np.zeros(9)), "places of a profile"),
        (lambda: fit_wall(np.arange(9.0), np.arange(9.0), sigma=-1.0), "above 0"),
        (lambda: fit_wall(np.arange(9.0), np.ones(9)), "values that change"),
        (lambda: fit_boundary_map(np.arange(9.0), np.arange(5.0), np.zeros((9, 5))), r"\(5, 9\)"),
    ],
)
def test_points_that_cannot_be_used_are_refused(fit, message):
    with pytest.raises(StructureError, match=message):
        fit()


def drawn(polynomial, coefficients, n_sites, side, generator):
    """Order parameters from exp(-f) by rejection in a box."""
    axis = np.linspace(-side, side, 61)
    grid = np.stack(np.meshgrid(*[axis] * polynomial.n_components), axis=-1).reshape(-1, polynomial.n_components)
    lowest = (polynomial.features(grid) @ coefficients).min() - 0.3
    found = np.empty((0, polynomial.n_components))
    while len(found) < n_sites:
        eta = generator.uniform(-side, side, (200_000, polynomial.n_components))
        chance = np.exp(lowest - polynomial.features(eta) @ coefficients)
        assert chance.max() <= 1
        found = np.concatenate([found, eta[generator.uniform(size=len(eta)) < chance]])
    return found[:n_sites]


def test_landau_coefficients_lie_in_their_intervals_as_often_as_stated():
    generator = np.random.default_rng(4)
    sites = drawn(ONE_COMPONENT, SINGLE_TRUTH, 2000 * N_RUNS, 3.0, generator)
    fits = [fit_landau(part, ONE_COMPONENT) for part in np.split(sites, N_RUNS)]
    hits = [covered(fit.interval(), SINGLE_TRUTH) for fit in fits]
    assert COVERAGE[0] <= np.mean(hits) <= COVERAGE[1]


def test_the_free_energy_of_a_monolayer_is_found():
    sites = drawn(MONOLAYER, MONOLAYER_TRUTH, 20_000, 4.0, np.random.default_rng(5))
    fit = fit_landau(sites, MONOLAYER)
    assert np.abs((fit.coefficients - MONOLAYER_TRUTH) / fit.sigma).max() < 3.5
    assert (fit.sigma < [0.2, 0.2, 0.1, 0.1, 0.2, 0.03, 0.02, 0.02, 0.03, 0.04, 0.04]).all()
    values, density = fit.density(2)
    seen, edges = np.histogram(sites[:, 2], 20, density=True)
    np.testing.assert_allclose(np.interp((edges[1:] + edges[:-1]) / 2, values, density), seen, atol=0.04)


def test_monolayer_terms_do_not_change_under_the_symmetry():
    eta = np.random.default_rng(6).normal(size=(50, 3))
    angle = 2 * np.pi / 3
    turn = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    for moved in (eta @ turn, -eta, eta * (1, -1, 1)):
        np.testing.assert_allclose(MONOLAYER.features(moved), MONOLAYER.features(eta), atol=1e-9)


def test_coefficients_follow_the_unit_of_the_order_parameter():
    sites = drawn(ONE_COMPONENT, SINGLE_TRUTH, 3000, 3.0, np.random.default_rng(7))
    fit, scaled = fit_landau(sites, ONE_COMPONENT), fit_landau(10 * sites, ONE_COMPONENT)
    np.testing.assert_allclose(scaled.coefficients * (100, 1e4, 1e6), fit.coefficients, rtol=1e-6)
    np.testing.assert_allclose(fit.energy(sites[:5]), scaled.energy(10 * sites[:5]), rtol=1e-6)


def test_errors_of_sites_that_repeat_each_other_need_their_blocks():
    sites = drawn(ONE_COMPONENT, SINGLE_TRUTH, 1000, 3.0, np.random.default_rng(8))
    alone = fit_landau(sites, ONE_COMPONENT)
    ninefold, block = np.repeat(sites, 9, axis=0), np.repeat(np.arange(1000), 9)
    np.testing.assert_allclose(fit_landau(ninefold, ONE_COMPONENT, block).sigma, alone.sigma, rtol=1e-6)
    np.testing.assert_allclose(fit_landau(ninefold, ONE_COMPONENT).sigma, alone.sigma / 3, rtol=0.01)


@pytest.mark.parametrize(("centre", "bounded"), [(0.0, True), (1.0, False)])
def test_a_free_energy_that_falls_outwards_is_not_called_bounded(centre, bounded):
    """Two narrow wells have a barrier of higher degree than the polynomial, which then falls beyond them."""
    generator = np.random.default_rng(9)
    sites = centre * generator.choice([-1.0, 1.0], (5000, 1)) + generator.uniform(-0.1, 0.1, (5000, 1))
    fit = fit_landau(sites, ONE_COMPONENT)
    assert fit.bounded == bounded == (fit.coefficients[2] > 0)


@pytest.mark.parametrize(
    ("eta", "message"),
    [
        (np.zeros((40, 1)), "order parameter of sites"),
        (np.ones((40, 2)), r"\(n_sites, 1\)"),
        (np.ones((4, 1)), "5 or more"),
        (np.ones((40, 1)), "do not determine"),
    ],
)
def test_sites_that_cannot_be_used_are_refused(eta, message):
    with pytest.raises(StructureError, match=message):
        fit_landau(eta, ONE_COMPONENT)
