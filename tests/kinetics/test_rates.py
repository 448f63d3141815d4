"""Rates from movies of several frame times: right, with intervals that hold the truth, and refused where not told."""

import numpy as np
import pytest
from chains import counted, known_counts
from scipy.linalg import expm
from simulated_tracks import SimulatedTracks

from hpcstem.errors import HpcstemError
from hpcstem.kinetics.rates import rates

TRUTH = np.array([[-0.05, 0.04, 0.01], [0.02, -0.06, 0.04], [0.01, 0.05, -0.06]])
TIMES_S = (2.0, 10.0)
OFF = ~np.eye(3, dtype=bool)
SEED = np.random.SeedSequence(3)


def seen(number, rates_per_s=(TRUTH, TRUTH), n_tracks=6, times_s=TIMES_S):
    recipe = SimulatedTracks(n_tracks, 60, missing=0.15)
    pairs = zip(rates_per_s, times_s, strict=True)
    return [counted(expm(K * time_s), number, i, recipe=recipe) for i, (K, time_s) in enumerate(pairs)]


def test_rates_and_lifetimes_are_those_of_the_chain_and_their_intervals_hold_them():
    """60 runs of 12 tracks; of 200 runs 95.8 % of the intervals of rates hold the truth and 96.5 % of lifetimes."""
    runs = [rates(seen(number), TIMES_S, SEED) for number in range(60)]
    held = [((run.low <= TRUTH) & (run.high >= TRUTH))[OFF] for run in runs]
    assert 0.92 < np.mean(held) < 0.99
    ratios = np.array([run.estimate[OFF] / TRUTH[OFF] for run in runs])
    assert np.abs(np.median(ratios, axis=0) - 1).max() < 0.15
    lifetimes_s = -1 / np.diag(TRUTH)
    assert np.mean([(run.lifetimes_s[1] <= lifetimes_s) & (run.lifetimes_s[2] >= lifetimes_s) for run in runs]) > 0.92
    assert np.mean([run.agreement.p_value < 0.05 for run in runs]) < 0.15


def test_one_frame_time_gives_the_generator_of_its_matrix():
    """Many counts in the proportions of a chain: its matrix is exp(K t), so K is found to within their rounding."""
    table = np.round(1e8 * expm(TRUTH * 4.0)).astype(int)
    found = rates([known_counts(table.tolist())], [4.0], SEED)
    assert np.allclose(found.estimate, TRUTH, atol=1e-6)
    assert found.agreement.degrees_of_freedom == 0


def test_movies_that_do_not_have_the_same_rates_are_told():
    found = rates(seen(1, (TRUTH, 4 * TRUTH), n_tracks=40), TIMES_S, SEED)
    assert found.agreement.p_value < 1e-6


def test_what_is_never_left_and_what_was_never_followed():
    tables = [known_counts([[80, 20, 0], [0, 50, 0], [0, 0, 0]]), known_counts([[60, 40, 0], [0, 50, 0], [0, 0, 0]])]
    found = rates(tables, (1.0, 2.0), SEED, absorbing=[1])
    assert found.estimate[0, 1] == pytest.approx(0.24, abs=0.02)
    assert found.low[0, 2] == pytest.approx(0, abs=1e-4)
    assert found.high[0, 2] < 0.02
    assert found.lifetimes_s[0][1] == np.inf
    assert np.isnan(found.estimate[2]).all()


@pytest.mark.parametrize(
    ("tables", "about"),
    [
        ([[[30, 30], [30, 30]], [[30, 30], [30, 30]]], "slower than the changes"),
        ([[[30, 0], [0, 30]], [[30, 0], [0, 30]]], "no transition"),
        ([np.full((31, 31), 9).tolist()] * 2, "31 classes; wanted at most 30"),
    ],
)
def test_rates_that_cannot_be_told(tables, about):
    with pytest.raises(HpcstemError, match=about):
        rates([known_counts(table) for table in tables], (1.0, 3.0), SEED)
