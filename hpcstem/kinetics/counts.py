"""Transition counts pooled over trajectories and movies.

Counts are added up over everything before any row is normalised: the mean of row-normalised matrices of short
trajectories is biased. A frame that is missing is a gap, and a pair across it counts only at its true lag [1]_.

References
----------
.. [1] J.-H. Prinz et al., Markov models of molecular kinetics: Generation and validation, J. Chem. Phys. 134, 174105
   (2011), https://doi.org/10.1063/1.3565032
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hpcstem.errors import HpcstemError
from hpcstem.kinetics.trajectory import ClassTrajectory


@dataclass(frozen=True, eq=False)
class TransitionCounts:
    """Pooled counts of transitions at one lag.

    Parameters
    ----------
    counts
        Times that state j was seen one lag after state i, from every frame on, with shape (n_states, n_states),
        int64.
    triples
        Times that i, j, k were seen in this order, one lag apart each, with shape (n_states, n_states, n_states),
        int64.
    lag_frames
        Frames from one state to the next.

    Raises
    ------
    HpcstemError
        The shapes do not fit, a count is negative, or the lag is not positive.
    """

    counts: np.ndarray
    triples: np.ndarray
    lag_frames: int = 1

    def __post_init__(self) -> None:
        n = len(self.counts)
        if self.counts.shape != (n, n) or self.triples.shape != (n, n, n) or (self.counts < 0).any():
            raise HpcstemError(
                "transition counts", f"shapes {self.counts.shape}, {self.triples.shape}", "(n, n), (n, n, n), 0 or more"
            )
        if self.lag_frames < 1:
            raise HpcstemError("lag of the transition counts", self.lag_frames, "1 frame or more")

    def __add__(self, other: TransitionCounts) -> TransitionCounts:
        """Counts of both."""
        if self.counts.shape != other.counts.shape or self.lag_frames != other.lag_frames:
            raise HpcstemError(
                "transition counts to add",
                f"{len(self.counts)} states at lag {self.lag_frames} and {len(other.counts)} at {other.lag_frames}",
                "equal numbers of states and equal lags",
            )
        return TransitionCounts(self.counts + other.counts, self.triples + other.triples, self.lag_frames)

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.counts)

    @property
    def independent(self) -> np.ndarray:
        """Counts over the lag, with shape (n_states, n_states), float64.

        Windows of `lag_frames` that start in every frame overlap; this is how many would not.
        """
        return self.counts / self.lag_frames


@dataclass(frozen=True)
class CountTransitions:
    """Analysis that counts transitions: a batch is the trajectories of a movie, or of a part of its tracks.

    Parameters
    ----------
    n_states
        Number of states.
    lag_frames
        Frames from one state to the next.
    """

    n_states: int
    lag_frames: int = field(default=1)

    def process(self, batch: Sequence[ClassTrajectory]) -> TransitionCounts:
        """Count the transitions of some trajectories.

        Raises
        ------
        HpcstemError
            A state is not below `n_states`.
        """
        n = self.n_states
        counts = np.zeros(n * n, np.int64)
        triples = np.zeros(n * n * n, np.int64)
        for trajectory in batch:
            if len(trajectory) and trajectory.state.max() >= n:
                raise HpcstemError("state of a trajectory", int(trajectory.state.max()), f"below {n}")
            origin, later = trajectory.pairs(self.lag_frames)
            pair = trajectory.state[origin] * n + trajectory.state[later]
            counts += np.bincount(pair, minlength=n * n)
            # A pair goes on if the place where it ends is the origin of another.
            follows = np.searchsorted(origin, later)
            inside = follows < len(origin)
            inside[inside] = origin[follows[inside]] == later[inside]
            last = trajectory.state[later[follows[inside]]]
            triples += np.bincount(pair[inside] * n + last, minlength=n**3)
        return TransitionCounts(counts.reshape(n, n), triples.reshape(n, n, n), self.lag_frames)

    def merge(self, left: TransitionCounts, right: TransitionCounts) -> TransitionCounts:
        """Add the counts of two parts."""
        return left + right

    def finish(self, partial: TransitionCounts) -> TransitionCounts:
        """Return the pooled counts."""
        return partial
