"""Lifetimes of classes from dwells that a movie, a gap or the edge of the field may cut short.

The mean of the dwells seen from start to end is too short, for long ones are cut. Time at risk over events is not [1]_:
each frame followed by an observed frame is at risk, each change of class seen is an event.

References
----------
.. [1] J. P. Klein and M. L. Moeschberger, Survival Analysis, sections 3.5 and 4.2 (likelihood under censoring,
   product-limit estimator), Springer 2003, https://doi.org/10.1007/b97377
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta

from hpcstem.errors import HpcstemError
from hpcstem.kinetics.matrix import CONFIDENCE
from hpcstem.kinetics.trajectory import ClassTrajectory


@dataclass(frozen=True, eq=False)
class DwellCounts:
    """Dwells of each state, pooled.

    Parameters
    ----------
    stays, leaves
        Observed steps from one frame to the next in which the state stayed or changed, each (n_states,), int64.
    ended
        Dwells of k frames whose start and end were seen, with shape (n_states, longest + 1), int64.
    censored
        Dwells whose start was seen and of which k frames were seen before the end of sight, likewise.
    """

    stays: np.ndarray
    leaves: np.ndarray
    ended: np.ndarray
    censored: np.ndarray

    def __add__(self, other: DwellCounts) -> DwellCounts:
        """Dwells of both."""
        longest = max(self.ended.shape[1], other.ended.shape[1])
        left, right = ((_padded(part.ended, longest), _padded(part.censored, longest)) for part in (self, other))
        return DwellCounts(self.stays + other.stays, self.leaves + other.leaves, left[0] + right[0], left[1] + right[1])


@dataclass(frozen=True)
class CountDwells:
    """Analysis that counts dwells: a batch is the trajectories of a movie, or of a part of its tracks.

    Parameters
    ----------
    n_states
        Number of states.
    """

    n_states: int

    def process(self, batch: Sequence[ClassTrajectory]) -> DwellCounts:
        """Count the dwells of some trajectories.

        Raises
        ------
        HpcstemError
            A state is not below `n_states`.
        """
        n = self.n_states
        stays, leaves = np.zeros(n, np.int64), np.zeros(n, np.int64)
        dwells = [np.empty((0, 4), np.int64)]
        for trajectory in batch:
            if len(trajectory) and trajectory.state.max() >= n:
                raise HpcstemError("state of a trajectory", int(trajectory.state.max()), f"below {n}")
            origin, later = trajectory.pairs(1)
            same = trajectory.state[origin] == trajectory.state[later]
            stays += np.bincount(trajectory.state[origin[same]], minlength=n)
            leaves += np.bincount(trajectory.state[origin[~same]], minlength=n)
            dwells.append(_dwells(trajectory))
        state, length, began, finished = np.concatenate(dwells).T
        shape = (n, int(length.max(initial=0)) + 1)
        ended, censored = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        begun, over = began > 0, finished > 0
        np.add.at(ended, (state[begun & over], length[begun & over]), 1)
        np.add.at(censored, (state[begun & ~over], length[begun & ~over]), 1)
        return DwellCounts(stays, leaves, ended, censored)

    def merge(self, left: DwellCounts, right: DwellCounts) -> DwellCounts:
        """Add the dwells of two parts."""
        return left + right

    def finish(self, partial: DwellCounts) -> DwellCounts:
        """Return the pooled dwells."""
        return partial


@dataclass(frozen=True)
class Lifetime:
    """Mean time that a state lasts, if the chance of leaving is the same in every frame.

    Parameters
    ----------
    mean_frames
        Time at risk over events [frames]; infinite if the state was never left, NaN if it was never at risk.
    low_frames, high_frames
        Ends of the 95 % interval, from the posterior of the chance of leaving with Jeffreys' prior [frames].
    at_risk
        Steps in which it could have been seen to leave.
    events
        Steps in which it was.
    """

    mean_frames: float
    low_frames: float
    high_frames: float
    at_risk: int
    events: int


def lifetimes(dwells: DwellCounts) -> list[Lifetime]:
    """Lifetime of each state [1]_; a state shorter than a frame cannot be told from one of a frame."""
    found = []
    for stays, leaves in zip(dwells.stays.tolist(), dwells.leaves.tolist(), strict=True):
        at_risk = stays + leaves
        chance = beta(leaves + 0.5, stays + 0.5)
        low, high = chance.ppf((1 + CONFIDENCE) / 2), chance.ppf((1 - CONFIDENCE) / 2)
        mean = at_risk / leaves if leaves else (np.inf if at_risk else np.nan)
        found.append(Lifetime(mean, float(1 / low), float(1 / high) if leaves else np.inf, at_risk, leaves))
    return found


@dataclass(frozen=True, eq=False)
class Survival:
    """Share of dwells that outlast a number of frames, without any law assumed.

    Parameters
    ----------
    frames
        0, 1, … with shape (n,), int64.
    share
        Product-limit estimate [1]_, with shape (n,), float64; NaN after the last dwell went out of sight.
    standard_error
        By Greenwood's formula [1]_, with shape (n,), float64.
    """

    frames: np.ndarray
    share: np.ndarray
    standard_error: np.ndarray


def survival(dwells: DwellCounts, state: int) -> Survival:
    """Survival of one state, from the dwells whose start was seen."""
    ended, censored = dwells.ended[state], dwells.censored[state]
    # A dwell cut after k frames was at risk k - 1 times: nothing is known of what followed its last frame.
    later_ended = ended[::-1].cumsum()[::-1]
    later_censored = np.append(censored[::-1].cumsum()[::-1][1:], 0)
    at_risk = (later_ended + later_censored).astype(np.float64)
    at_risk[0] = max(float(at_risk[0]), 1.0)
    known = at_risk > 0
    hazard = np.divide(ended, at_risk, out=np.full(len(ended), np.nan), where=known)
    share = np.cumprod(1.0 - hazard)
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(ended / (at_risk * (at_risk - ended)))
        error = share * np.sqrt(greenwood)
    error[share == 0.0] = 0.0
    return Survival(np.arange(len(ended)), share, error)


def _dwells(trajectory: ClassTrajectory) -> np.ndarray:
    """Runs of one state in frames without a gap: state, frames, start seen, end seen; (n_dwells, 4), int64."""
    if not len(trajectory):
        return np.empty((0, 4), np.int64)
    joined = np.diff(trajectory.frame) == 1
    first = np.flatnonzero(np.concatenate([[True], ~joined | (np.diff(trajectory.state) != 0)]))
    after = np.append(first[1:], len(trajectory))
    # The frame before a run is seen exactly where the two frames are joined, and then its state is another.
    start_seen = np.concatenate([[False], joined])[first]
    end_seen = np.append(joined, False)[after - 1]
    return np.column_stack([trajectory.state[first], after - first, start_seen, end_seen]).astype(np.int64)


def _padded(counts: np.ndarray, length: int) -> np.ndarray:
    return np.pad(counts, ((0, 0), (0, length - counts.shape[1])))
