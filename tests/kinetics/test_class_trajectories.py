"""Trajectories of classes: order, gaps, names to numbers."""

import numpy as np
import pytest

from hpcstem.errors import HpcstemError
from hpcstem.kinetics.trajectory import OTHER, ClassTrajectory, LabelledTrack, class_trajectories, frequent_classes


def _track(*labels: str) -> LabelledTrack:
    n = len(labels)
    return LabelledTrack(np.arange(n), np.array(labels), np.arange(2.0 * n).reshape(n, 2))


def test_pairs_are_exactly_one_lag_apart() -> None:
    trajectory = ClassTrajectory(np.array([0, 1, 3, 4, 6]), np.zeros(5, int))
    assert [pair.tolist() for pair in trajectory.pairs(1)] == [[0, 2], [1, 3]]
    assert [pair.tolist() for pair in trajectory.pairs(3)] == [[0, 1, 2], [2, 3, 4]]
    assert [len(pair) for pair in trajectory.pairs(7)] == [0, 0]


@pytest.mark.parametrize(
    ("frame", "state", "positions_A", "about"),
    [
        ([0, 0], [1, 1], None, "ascending"),
        ([0, 1], [1], None, "equal lengths"),
        ([0, 1], [1, -1], None, "leave out"),
        ([0, 1], [1, 1], [[0.0, 0.0]], "positions"),
    ],
)
def test_what_is_no_trajectory_is_refused(frame, state, positions_A, about) -> None:
    with pytest.raises(HpcstemError, match=about):
        ClassTrajectory(np.array(frame), np.array(state), positions_A)


def test_classes_are_ranked_and_rare_ones_left_out() -> None:
    tracks = [_track("b", "a", "c"), _track("b", "a")]
    assert frequent_classes(tracks, 1) == ["a", "b", "c"]
    assert frequent_classes(tracks, 2) == ["a", "b"]


def test_unlisted_classes_are_gaps_or_one_state() -> None:
    tracks = [_track("a", "x", "b", "y")]
    (gapped,) = class_trajectories(tracks, ["b", "a"])
    assert (gapped.frame.tolist(), gapped.state.tolist()) == ([0, 2], [1, 0])
    assert gapped.positions_A.tolist() == [[0.0, 1.0], [4.0, 5.0]]
    (whole,) = class_trajectories(tracks, ["b", "a", OTHER])
    assert whole.state.tolist() == [1, 2, 0, 2]
