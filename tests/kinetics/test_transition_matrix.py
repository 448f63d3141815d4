"""Posteriors of transition matrices: coverage, absorbing states, numbers derived from them."""

import numpy as np
import pytest
from chains import DRIVEN, GENERAL, REVERSIBLE, SLIDES, counted, known_counts
from simulated_tracks import SimulatedTracks

from hpcstem.errors import HpcstemError
from hpcstem.kinetics.matrix import transition_matrix
from hpcstem.kinetics.reversible import connected_states, reversible_transition_matrix
from hpcstem.kinetics.simulated_defects import checked_matrix

N_RUNS = 200
SEED = np.random.SeedSequence(0)


@pytest.mark.parametrize("matrix", [GENERAL, REVERSIBLE], ids=["general", "reversible"])
def test_95_percent_intervals_hold_the_truth_in_93_to_97_percent(matrix: np.ndarray) -> None:
    inside, settled = [], []
    stationary = np.linalg.matrix_power(matrix, 1000)[0]
    for run in range(N_RUNS):
        found = transition_matrix(counted(matrix, 1, run), np.random.SeedSequence(run), n_samples=1500)
        low, high = found.interval
        inside.append((low <= matrix) & (matrix <= high))
        _, low, high = found.stationary
        settled.append((low <= stationary) & (stationary <= high))
    assert 0.93 <= np.mean(inside) <= 0.97
    assert 0.93 <= np.mean(settled) <= 0.97


def test_intervals_at_a_longer_lag_are_no_narrower_than_the_data_allow() -> None:
    truth = np.linalg.matrix_power(GENERAL, 3)
    inside = []
    for run in range(N_RUNS):
        counts = counted(GENERAL, 2, run, lag_frames=3)
        low, high = transition_matrix(counts, np.random.SeedSequence(run), n_samples=800).interval
        inside.append((low <= truth) & (truth <= high))
    assert 0.93 <= np.mean(inside) <= 1.0


def test_reversible_intervals_hold_the_truth_and_are_narrower() -> None:
    inside, ratio = [], []
    for run in range(N_RUNS):
        counts = counted(REVERSIBLE, 3, run)
        found = reversible_transition_matrix(counts, np.random.SeedSequence(run), n_samples=400)
        low, high = found.interval
        inside.append((low <= REVERSIBLE) & (high >= REVERSIBLE))
        if run < 20:
            free = transition_matrix(counts, np.random.SeedSequence(run), n_samples=1000).interval
            ratio.append((high - low).mean() / (free[1] - free[0]).mean())
    assert 0.93 <= np.mean(inside) <= 0.97
    assert np.mean(ratio) < 0.97


def test_reversible_estimate_is_in_detailed_balance_and_repeats() -> None:
    counts = counted(DRIVEN, 4)
    found = reversible_transition_matrix(counts, SEED, n_samples=5)
    flow = found.stationary[0][:, None] * found.estimate
    assert np.allclose(flow, flow.T, atol=1e-6)
    flow = np.einsum("si,sij->sij", [np.linalg.matrix_power(p, 2000)[0] for p in found.samples], found.samples)
    assert np.allclose(flow, flow.transpose(0, 2, 1), atol=1e-8)
    assert np.array_equal(found.samples, reversible_transition_matrix(counts, SEED, n_samples=5).samples)
    assert not np.array_equal(
        found.samples, reversible_transition_matrix(counts, np.random.SeedSequence(1), n_samples=5).samples
    )


def test_reversible_estimate_keeps_the_states_that_lead_to_each_other() -> None:
    counts = known_counts([[5, 3, 1, 0], [4, 6, 0, 0], [0, 0, 9, 0], [2, 0, 0, 1]])
    assert connected_states(counts.counts).tolist() == [0, 1]
    assert reversible_transition_matrix(counts, SEED, n_samples=3).states.tolist() == [0, 1]
    with pytest.raises(HpcstemError, match="both ways"):
        reversible_transition_matrix(known_counts([[3, 1], [0, 3]]), SEED)


def test_absorbing_rows_are_exact_and_times_to_absorption_right() -> None:
    matrix = np.array([[0.90, 0.05, 0.05], [0.10, 0.80, 0.10], [0.0, 0.0, 1.0]])
    times = np.append(np.linalg.solve(np.eye(2) - matrix[:2, :2], np.ones(2)), 0.0)
    inside = []
    for run in range(100):
        counts = counted(matrix, 7, run, recipe=SimulatedTracks(40, 30))
        found = transition_matrix(counts, np.random.SeedSequence(run), absorbing=[2], n_samples=500)
        assert found.estimate[2].tolist() == [0.0, 0.0, 1.0]
        middle, low, high = found.absorption_frames
        assert middle[2] == 0.0
        inside.append((low <= times) & (times <= high))
    assert 0.88 <= np.mean(np.array(inside)[:, :2]) <= 1.0
    assert np.allclose(found.stationary[0], [0, 0, 1], atol=1e-12)


def test_several_absorbing_states_have_no_stationary_shares() -> None:
    counts = known_counts([[5, 3, 1], [0, 6, 0], [0, 0, 9]])
    assert np.isnan(transition_matrix(counts, SEED, absorbing=[1, 2]).stationary[0]).all()
    assert np.isinf(transition_matrix(counts, SEED).absorption_frames[0]).all()


@pytest.mark.parametrize(("state", "about"), [(0, "left 3 times"), (4, "0 to 1")])
def test_states_that_do_not_absorb_are_refused(state: int, about: str) -> None:
    with pytest.raises(HpcstemError, match=about):
        transition_matrix(known_counts([[5, 3], [0, 6]]), SEED, absorbing=[state])


def test_rows_never_seen_have_the_widest_intervals() -> None:
    found = transition_matrix(known_counts([[50, 3], [0, 0]]), SEED)
    assert found.estimate[1].tolist() == [0.5, 0.5]
    assert found.interval[0][1, 0] < 0.01
    assert found.interval[1][1, 0] > 0.99


def test_relaxation_time_is_that_of_the_second_eigenvalue() -> None:
    matrix = np.array([[0.9, 0.1], [0.2, 0.8]])
    found = transition_matrix(counted(matrix, 8, recipe=SimulatedTracks(400, 100), lag_frames=2), SEED)
    assert found.second_eigenvalue.value == pytest.approx(0.7**2, abs=0.02)
    assert found.relaxation_frames.value == pytest.approx(-1.0 / np.log(0.7), rel=0.05)
    assert found.relaxation_frames.low < -1.0 / np.log(0.7) < found.relaxation_frames.high


def test_printed_table_mixes_faster_than_a_frame() -> None:
    # 10,000 counts per row in the printed proportions: |λ₂| = 0.09.
    rows = np.rint(10_000 * SLIDES).astype(int)
    found = transition_matrix(known_counts(rows.tolist()), SEED)
    assert found.second_eigenvalue.value == pytest.approx(0.09, abs=0.01)
    assert found.relaxation_frames.high < 1.0


@pytest.mark.parametrize(
    "matrix", [[[1.0, 0.1], [0.5, 0.5]], [[1.0]] * 2, [[1.2, -0.2], [0.5, 0.5]], [[1.0], [0.5, 0.5]]]
)
def test_what_is_no_transition_matrix_is_refused(matrix: list[list[float]]) -> None:
    with pytest.raises(HpcstemError, match="transition matrix"):
        checked_matrix(matrix)
