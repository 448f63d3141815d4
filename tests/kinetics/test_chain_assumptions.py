"""Tests of independence, memory and detailed balance: their level, and their power against what breaks them."""

import numpy as np
import pytest
from chains import DRIVEN, GENERAL, REVERSIBLE, counted, known_counts
from simulated_tracks import SimulatedTracks, simulate_tracks

from hpcstem.errors import HpcstemError
from hpcstem.kinetics.chain_tests import chapman_kolmogorov, detailed_balance, independence, memory
from hpcstem.kinetics.counts import CountTransitions
from hpcstem.kinetics.matrix import transition_matrix
from hpcstem.kinetics.trajectory import ClassTrajectory

N_RUNS = 300
LEVEL = 0.05
# Three standard errors of a share of 5 % in 300 runs.
SLACK = 0.038
SHARES = np.tile([0.1, 0.2, 0.3, 0.4], (4, 1))


def _rejected(test, matrix: np.ndarray) -> float:
    return float(np.mean([test(counted(matrix, 9, run)).p_value < LEVEL for run in range(N_RUNS)]))


@pytest.mark.parametrize(
    ("test", "matrix"), [(independence, SHARES), (memory, GENERAL), (detailed_balance, REVERSIBLE)]
)
def test_true_hypotheses_are_rejected_at_the_level(test, matrix: np.ndarray) -> None:
    assert abs(_rejected(test, matrix) - LEVEL) <= SLACK


@pytest.mark.parametrize(("test", "matrix"), [(independence, GENERAL), (detailed_balance, DRIVEN)])
def test_false_hypotheses_are_rejected(test, matrix: np.ndarray) -> None:
    found = test(counted(matrix, 10))
    assert found.p_value < 1e-6
    assert found.few_counts < 0.3


def test_two_unlike_states_seen_as_one_have_memory() -> None:
    hidden = np.array([[0.95, 0.03, 0.02], [0.05, 0.50, 0.45], [0.10, 0.40, 0.50]])
    tracks = simulate_tracks(hidden, SimulatedTracks(40, 100), np.random.SeedSequence(11))
    seen = [ClassTrajectory(track.frame, np.minimum(track.state % 2, 1)) for track in tracks]
    assert memory(CountTransitions(3).process(tracks)).p_value > 0.01
    assert memory(CountTransitions(2).process(seen)).p_value < 1e-6


def test_without_cycles_nothing_speaks_against_detailed_balance() -> None:
    found = detailed_balance(known_counts([[5, 2, 0], [9, 3, 1], [0, 2, 4]]))
    assert (found.degrees_of_freedom, found.p_value) == (0, 1.0)


def test_one_state_cannot_be_tested() -> None:
    assert independence(known_counts([[7]])).p_value == 1.0
    assert memory(counted(np.array([[1.0]]), 12)).degrees_of_freedom == 0


def test_powers_of_the_matrix_agree_with_longer_lags_of_a_chain_only() -> None:
    recipe = SimulatedTracks(100, 100)

    def outside(tracks: list[ClassTrajectory]) -> float:
        short, long = (
            transition_matrix(CountTransitions(2, lag).process(tracks), np.random.SeedSequence(lag)) for lag in (1, 4)
        )
        found = chapman_kolmogorov(short, long)
        apart = (found.predicted_low > found.counted_high) | (found.predicted_high < found.counted_low)
        return float(apart.mean())

    chain = simulate_tracks(np.array([[0.9, 0.1], [0.2, 0.8]]), recipe, np.random.SeedSequence(13))
    hidden = np.array([[0.97, 0.02, 0.01], [0.02, 0.40, 0.58], [0.01, 0.58, 0.41]])
    mixed = simulate_tracks(hidden, recipe, np.random.SeedSequence(13))
    assert outside(chain) == 0.0
    assert outside([ClassTrajectory(track.frame, track.state % 2) for track in mixed]) == 1.0


def test_lags_that_do_not_fit_are_refused() -> None:
    two, three = (transition_matrix(counted(GENERAL, 14, lag_frames=lag), np.random.SeedSequence(0)) for lag in (2, 3))
    with pytest.raises(HpcstemError, match="multiple"):
        chapman_kolmogorov(two, three)
