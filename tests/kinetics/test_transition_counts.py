"""Pooled counts: lag, gaps, merging, and what goes wrong otherwise."""

import numpy as np
import pytest
from chains import GENERAL, counted
from hypothesis import given
from hypothesis import strategies as st
from simulated_tracks import SimulatedTracks, simulate_tracks

from hpcstem.errors import HpcstemError
from hpcstem.kinetics.counts import CountTransitions, TransitionCounts
from hpcstem.kinetics.trajectory import ClassTrajectory

SEEN = st.lists(st.tuples(st.booleans(), st.integers(0, 2)), max_size=30)


def _trajectory(seen: list[tuple[bool, int]]) -> ClassTrajectory:
    frame = [k for k, (visible, _) in enumerate(seen) if visible]
    return ClassTrajectory(np.array(frame, int), np.array([seen[k][1] for k in frame], int))


@given(st.lists(SEEN, max_size=4), st.integers(1, 4))
def test_counts_are_those_of_a_plain_loop(tracks: list[list[tuple[bool, int]]], lag: int) -> None:
    counts, triples = np.zeros((3, 3), int), np.zeros((3, 3, 3), int)
    for track in tracks:
        for k in range(len(track) - lag):
            if track[k][0] and track[k + lag][0]:
                counts[track[k][1], track[k + lag][1]] += 1
                if k + 2 * lag < len(track) and track[k + 2 * lag][0]:
                    triples[track[k][1], track[k + lag][1], track[k + 2 * lag][1]] += 1
    found = CountTransitions(3, lag).process([_trajectory(track) for track in tracks])
    assert found.counts.tolist() == counts.tolist()
    assert found.triples.tolist() == triples.tolist()


@given(st.lists(SEEN, min_size=1, max_size=6), st.integers(0, 6))
def test_counts_do_not_depend_on_how_tracks_are_divided(tracks: list[list[tuple[bool, int]]], cut: int) -> None:
    analysis = CountTransitions(3)
    trajectories = [_trajectory(track) for track in tracks]
    whole = analysis.process(trajectories)
    parts = analysis.merge(analysis.process(trajectories[:cut]), analysis.process(trajectories[cut:]))
    assert np.array_equal(whole.counts, parts.counts)
    assert np.array_equal(whole.triples, parts.triples)


def test_states_beyond_the_number_and_unequal_counts_are_refused() -> None:
    with pytest.raises(HpcstemError, match="below 2"):
        CountTransitions(2).process([ClassTrajectory(np.array([0]), np.array([2]))])
    with pytest.raises(HpcstemError, match="equal lags"):
        _ = counted(GENERAL, 0) + counted(GENERAL, 0, lag_frames=2)
    with pytest.raises(HpcstemError, match="1 frame or more"):
        TransitionCounts(np.zeros((1, 1), int), np.zeros((1, 1, 1), int), 0)


def test_pooled_counts_find_the_matrix_where_the_mean_of_normalised_rows_does_not() -> None:
    matrix = np.array([[0.8, 0.2], [0.2, 0.8]])
    recipe = SimulatedTracks(n_tracks=4000, n_frames=4)
    tracks = simulate_tracks(matrix, recipe, np.random.SeedSequence(5))
    pooled = CountTransitions(2).process(tracks).counts
    pooled_rows = pooled / pooled.sum(axis=1, keepdims=True)
    each = np.array([CountTransitions(2).process([track]).counts for track in tracks], float)
    with np.errstate(invalid="ignore"):
        mean_of_rows = np.nanmean(each / each.sum(axis=2, keepdims=True), axis=0)
    assert np.abs(pooled_rows - matrix).max() < 0.02
    assert np.abs(mean_of_rows - matrix).max() > 0.08


def test_gaps_as_steps_give_another_matrix() -> None:
    recipe = SimulatedTracks(n_tracks=300, n_frames=60, missing=0.4)
    tracks = simulate_tracks(GENERAL, recipe, np.random.SeedSequence(6))
    closed = [ClassTrajectory(np.arange(len(track)), track.state) for track in tracks]
    right, wrong = (CountTransitions(4).process(part).counts for part in (tracks, closed))
    right_rows, wrong_rows = (part / part.sum(axis=1, keepdims=True) for part in (right, wrong))
    assert np.abs(right_rows - GENERAL).max() < 0.02
    assert np.abs(wrong_rows - GENERAL).max() > 0.1
