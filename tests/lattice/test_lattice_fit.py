import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from hpcstem.errors import StructureError
from hpcstem.execution import SerialExecutor
from hpcstem.lattice.alloy import draw_alloy
from hpcstem.lattice.classes import CLASSES, first_rings, shell_counts
from hpcstem.lattice.distance import reweighted, statistical_distance
from hpcstem.lattice.fit import SamplingPlan, fit_lattice
from hpcstem.lattice.model import MODELS, many_body, pair_additive
from hpcstem.lattice.sampling import LatticeSampling, Snapshots, correlated_snapshots

PAIR_TRUTH = np.array([0.25, -0.10])
TRIANGLE_TRUTH = np.array([0.30, 0.10])
counts = st.lists(st.integers(0, 1000), min_size=3, max_size=8).filter(any)


@given(counts)
def test_distance_of_equals_is_zero(p):
    assert statistical_distance(np.array(p), 7 * np.array(p)) == pytest.approx(0, abs=1e-9)


@given(st.integers(0, 2**32 - 1))
def test_distance_is_a_symmetric_metric(seed):
    p, q, r = np.random.default_rng(seed).dirichlet(np.ones(6), 3)
    assert statistical_distance(p, q) == pytest.approx(statistical_distance(q, p))
    assert statistical_distance(p, q) == pytest.approx(np.arccos(np.sqrt(p * q).sum()), abs=1e-7)
    assert statistical_distance(p, r) <= statistical_distance(p, q) + statistical_distance(q, r) + 1e-12


def test_distance_of_strangers_is_a_right_angle():
    assert statistical_distance(np.array([1, 0]), np.array([0, 3])) == pytest.approx(np.pi / 2)


@pytest.mark.parametrize(("p", "q"), [([1, 2], [1, 2, 3]), ([0, 0], [1, 1]), ([-1, 2], [1, 1])])
def test_histograms_that_cannot_be_compared_are_refused(p, q):
    with pytest.raises(StructureError, match="histograms to compare"):
        statistical_distance(np.array(p), np.array(q))


def sample(weights, seed, model=pair_additive, classes=first_rings, n_snapshots=1500, n_side=24):
    sampling = LatticeSampling(model(), weights, classes(), n_side, n_side**2 // 2, n_snapshots, 2)
    return sampling.process(np.random.SeedSequence(seed))


@pytest.mark.parametrize("name", MODELS)
def test_reweighting_foresees_a_sample_at_other_weights(name):
    here = sample((0.2, 0.05), 1, MODELS[name])
    step = np.array([0.02, -0.03])
    there = reweighted(sample((0.22, 0.02), 2, MODELS[name]), np.zeros(2))
    foreseen = reweighted(here, step)
    unmoved = reweighted(here, np.zeros(2))
    noise = np.sqrt(np.diag(there.q_covariance) / 1500)
    assert (np.abs(foreseen.q - there.q) < 6 * noise).all()
    assert (np.abs(unmoved.q - there.q) > 6 * noise).any()
    assert foreseen.effective < unmoved.effective == pytest.approx(1500)


def test_slope_is_the_derivative_of_the_histogram():
    snapshots = sample((0.2, 0.05), 1)
    slope = reweighted(snapshots, np.zeros(2)).slope
    for term in range(2):
        step = 1e-5 * np.eye(2)[term]
        difference = reweighted(snapshots, step).q - reweighted(snapshots, -step).q
        np.testing.assert_allclose(slope[:, term], difference / 2e-5, rtol=1e-4, atol=1e-8)


def test_merged_chains_are_those_of_one_run_after_another():
    left, right = sample((0.1, 0.0), 1, n_snapshots=5), sample((0.1, 0.0), 2, n_snapshots=7)
    sampling = LatticeSampling(pair_additive(), (0.1, 0.0), first_rings(), 24, 288, 5)
    merged = sampling.merge(sampling.merge(left, right), left)
    np.testing.assert_array_equal(merged.chains, np.repeat([0, 1, 2], [5, 7, 5]))
    np.testing.assert_array_equal(merged.histograms[5:12], right.histograms)
    assert merged.n_attempts == 2 * left.n_attempts + right.n_attempts


def test_correlation_of_snapshots_is_that_of_a_known_process():
    generator = np.random.default_rng(0)
    series = np.zeros(20_000)
    for k in range(1, len(series)):
        series[k] = 0.8 * series[k - 1] + generator.normal()
    blank = np.zeros((len(series), 1), np.int64)
    snapshots = Snapshots(blank, series[:, None], np.arange(len(series)) // 5000, 0, 0)
    assert correlated_snapshots(snapshots) == pytest.approx(1.8 / 0.2, rel=0.15)


def image(model, truth, n_side, seed, fraction_B=0.5):
    return draw_alloy(model(), truth, n_side, fraction_B, np.random.SeedSequence((77, seed)))


def fitted(grid, model, classes=first_rings, start=None, seed=5, n_snapshots=250):
    plan = SamplingPlan(n_side=48, n_chains=2, n_snapshots=n_snapshots)
    histogram = classes().histogram(grid)
    return fit_lattice(histogram, classes(), model(), SerialExecutor(), np.random.SeedSequence(seed), plan, start)


@pytest.mark.parametrize(("model", "truth"), [(pair_additive, PAIR_TRUTH), (many_body, TRIANGLE_TRUTH)])
def test_weights_are_found_from_far_and_the_other_model_is_refused(model, truth):
    grid = image(model, truth, 96, 3)
    fit = fitted(grid, model)
    assert fit.converged
    np.testing.assert_array_less(np.abs(fit.weights - truth), 3.5 * fit.sigma)
    assert (fit.sigma < 1.1 * fit.bound).all()
    assert (fit.sigma > 0.95 * fit.bound).all()
    assert fit.p_value > 0.01
    other = many_body if model is pair_additive else pair_additive
    wrong = fitted(grid, other)
    assert wrong.p_value < 0.01
    assert wrong.distance > fit.distance


def test_bound_of_independent_atoms_is_the_known_one():
    """Without interactions the unlike bonds of each shell vary by 12 N x² (1 - x)², and not together."""
    grid = image(pair_additive, np.zeros(2), 48, 1, fraction_B=0.3)
    fit = fitted(grid, pair_additive, start=(0.0, 0.0), n_snapshots=1500)
    expected = 1 / np.sqrt(12 * 48**2 * 0.3**2 * 0.7**2)
    np.testing.assert_allclose(fit.bound, expected, rtol=0.08)


def test_errors_shrink_with_the_image():
    small = fitted(image(pair_additive, PAIR_TRUTH, 32, 1), pair_additive, start=PAIR_TRUTH)
    large = fitted(image(pair_additive, PAIR_TRUTH, 96, 1), pair_additive, start=PAIR_TRUTH)
    np.testing.assert_allclose(small.bound / large.bound, 3.0, rtol=0.1)


def test_shell_counts_stay_near_the_bound():
    fit = fitted(image(pair_additive, PAIR_TRUTH, 64, 2), pair_additive, shell_counts, start=PAIR_TRUTH)
    assert (fit.sigma < 1.3 * fit.bound).all()
    np.testing.assert_array_less(np.abs(fit.weights - PAIR_TRUTH), 3.5 * fit.sigma)


def spread(model, truth, n_side, n_images, classes):
    """Deviations of fits to many images, in units of the Cramér-Rao bound and of the stated errors."""
    fits = [fitted(image(model, truth, n_side, k), model, classes, truth, seed=(9, k)) for k in range(n_images)]
    deviations = np.array([fit.weights - truth for fit in fits])
    bound = np.array([fit.bound for fit in fits]).mean(axis=0)
    scaled = deviations / np.array([fit.sigma for fit in fits])
    return np.sqrt((deviations**2).mean(axis=0)) / bound, scaled, np.array([fit.p_value for fit in fits])


def test_scatter_is_what_the_stated_errors_say():
    ratio, scaled, p_values = spread(pair_additive, PAIR_TRUTH, 48, 14, first_rings)
    assert 0.001 < chi2.sf((scaled**2).sum(), scaled.size) < 0.999
    assert (ratio < 1.6).all()  # 14 images: the error of a ratio of 1 is 0.19
    assert p_values.min() < 0.5 < p_values.max()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "truth", "n_side", "classes"),
    [
        (pair_additive, PAIR_TRUTH, 64, "first rings"),
        (pair_additive, PAIR_TRUTH, 200, "first rings"),
        (pair_additive, PAIR_TRUTH, 64, "shell counts"),
        (many_body, TRIANGLE_TRUTH, 64, "first rings"),
    ],
)
def test_scatter_of_forty_images_is_near_the_bound(model, truth, n_side, classes):
    ratio, _, _ = spread(model, truth, n_side, 40, CLASSES[classes])
    assert (ratio <= 1.3).all()


@given(st.integers(0, 1))
@settings(max_examples=2)
def test_an_image_of_one_species_is_refused(species):
    histogram = np.zeros(26, int)
    histogram[25 * species] = 500
    with pytest.raises(StructureError, match="atoms of both species"):
        fit_lattice(
            histogram, first_rings(), pair_additive(), SerialExecutor(), np.random.SeedSequence(0), SamplingPlan()
        )


@pytest.mark.parametrize(("histogram", "message"), [(np.ones(98), "26 classes"), (np.zeros(26), "no sites")])
def test_histograms_that_do_not_fit_are_refused(histogram, message):
    with pytest.raises(StructureError, match=message):
        fit_lattice(
            histogram, first_rings(), pair_additive(), SerialExecutor(), np.random.SeedSequence(0), SamplingPlan()
        )
