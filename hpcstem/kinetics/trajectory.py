"""Trajectories of classes: what one tracked atom or defect was, frame by frame, with gaps where it was not seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hpcstem.errors import HpcstemError

OTHER = "other"
"""Class of everything that is in none of the classes asked for; a state like the others."""


@dataclass(frozen=True, eq=False)
class LabelledTrack:
    """One tracked atom or defect with the name of its class in each frame where it was seen.

    Parameters
    ----------
    frame
        Frames in which it was seen, strictly ascending, with shape (n_seen,), int64.
    label
        Name of its class in each of them, with shape (n_seen,), str.
    positions_A
        x and y [Å], with shape (n_seen, 2), float64.
    movie
        Name of its movie.
    track
        Its identity in the movie.
    frame_time_s
        Time from one frame of the movie to the next [s]; None where that is the study's.
    """

    frame: np.ndarray
    label: np.ndarray
    positions_A: np.ndarray
    movie: str = ""
    track: int = -1
    frame_time_s: float | None = None


@dataclass(frozen=True, eq=False)
class ClassTrajectory:
    """States of one tracked thing; frames that are missing are gaps, not steps.

    Parameters
    ----------
    frame
        Frames in which it was seen, strictly ascending, with shape (n_seen,), int64.
    state
        Index of its class in each of them, 0 or more, with shape (n_seen,), int64.
    positions_A
        x and y [Å], with shape (n_seen, 2), float64; None where only the classes are known.

    Raises
    ------
    HpcstemError
        Lengths that do not fit, frames out of order, or a negative state.
    """

    frame: np.ndarray
    state: np.ndarray
    positions_A: np.ndarray | None = None

    def __post_init__(self) -> None:
        frame, state = np.asarray(self.frame, np.int64), np.asarray(self.state, np.int64)
        if frame.ndim != 1 or frame.shape != state.shape:
            raise HpcstemError("frames and states of a trajectory", f"{frame.shape}, {state.shape}", "equal lengths")
        if (np.diff(frame) <= 0).any():
            raise HpcstemError("frames of a trajectory", "not in order", "each frame once, ascending")
        if len(state) and state.min() < 0:
            raise HpcstemError("states of a trajectory", int(state.min()), "0 or more; leave out frames without one")
        object.__setattr__(self, "frame", frame)
        object.__setattr__(self, "state", state)
        if self.positions_A is not None:
            positions_A = np.asarray(self.positions_A, np.float64)
            if positions_A.shape != (len(frame), 2):
                raise HpcstemError("positions of a trajectory", positions_A.shape, (len(frame), 2))
            object.__setattr__(self, "positions_A", positions_A)

    def __len__(self) -> int:
        return len(self.frame)

    def pairs(self, lag_frames: int) -> tuple[np.ndarray, np.ndarray]:
        """Places in `frame` of all pairs seen exactly `lag_frames` apart, each with shape (n_pairs,), int64."""
        later = np.searchsorted(self.frame, self.frame + lag_frames)
        inside = later < len(self.frame)
        origin = np.flatnonzero(inside)
        later = later[inside]
        met = self.frame[later] == self.frame[origin] + lag_frames
        return origin[met], later[met]


def frequent_classes(tracks: Iterable[LabelledTrack], min_count: int) -> list[str]:
    """Names of the classes seen at least `min_count` times, most frequent first, ties by name."""
    counts = Counter(label for track in tracks for label in track.label.tolist())
    return [name for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if count >= min_count]


def class_trajectories(tracks: Iterable[LabelledTrack], classes: Sequence[str]) -> list[ClassTrajectory]:
    """Trajectories in the numbers of `classes`.

    Parameters
    ----------
    tracks
        Tracks with the names of their classes.
    classes
        Names in the order of their states. If `OTHER` is among them, names not listed get its state; if not,
        they become gaps.

    Returns
    -------
    list[ClassTrajectory]
        One per track, in the same order.
    """
    number = {name: state for state, name in enumerate(classes)}
    rest = number.get(OTHER, -1)
    trajectories = []
    for track in tracks:
        state = np.array([number.get(name, rest) for name in track.label.tolist()], np.int64)
        kept = state >= 0
        trajectories.append(ClassTrajectory(track.frame[kept], state[kept], track.positions_A[kept]))
    return trajectories
