"""Diffusion coefficients of tracked atoms or defects, freed from localisation noise, with error bars.

References
----------
.. [1] C. L. Vestergaard, P. C. Blainey and H. Flyvbjerg, Optimal estimation of diffusion coefficients from
   single-particle trajectories, Phys. Rev. E 89, 022726 (2014), https://doi.org/10.1103/PhysRevE.89.022726
.. [2] B. Efron and C. Stein, The jackknife estimate of variance, Ann. Stat. 9, 586 (1981),
   https://doi.org/10.1214/aos/1176345462
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import t as student

from hpcstem.errors import HpcstemError
from hpcstem.kinetics.matrix import CONFIDENCE
from hpcstem.kinetics.trajectory import ClassTrajectory

_TRACKS_FOR_JACKKNIFE = 8


@dataclass(frozen=True, eq=False)
class DisplacementSums:
    """Sums over the steps of each track, which is all that the estimate needs.

    Parameters
    ----------
    sums
        One row per track, with shape (n_tracks, 4), float64: number of steps between neighbouring frames, number
        of pairs of such steps that follow each other, sum of the squared steps in x and y [Å²], and sum of the
        scalar products of the pairs [Å²].
    """

    sums: np.ndarray

    def __add__(self, other: DisplacementSums) -> DisplacementSums:
        """Tracks of both."""
        return DisplacementSums(np.concatenate([self.sums, other.sums]))


@dataclass(frozen=True)
class SumDisplacements:
    """Analysis that sums displacements: a batch is the trajectories of a movie, with the drift removed.

    Parameters
    ----------
    state
        Class in which the thing must be at both ends of a step; None for all steps.
    """

    state: int | None = None

    def process(self, batch: Sequence[ClassTrajectory]) -> DisplacementSums:
        """Sum the displacements of some trajectories; steps over gaps are left out.

        Raises
        ------
        HpcstemError
            A trajectory has no positions.
        """
        rows = [row for row in map(self._track, batch) if row[0] > 0]
        return DisplacementSums(np.array(rows, np.float64).reshape(-1, 4))

    def _track(self, trajectory: ClassTrajectory) -> tuple[float, float, float, float]:
        if trajectory.positions_A is None:
            raise HpcstemError("a trajectory to diffuse", "no positions", "positions in Å with the drift removed")
        origin, later = trajectory.pairs(1)
        if self.state is not None:
            staying = (trajectory.state[origin] == self.state) & (trajectory.state[later] == self.state)
            origin, later = origin[staying], later[staying]
        steps_A = trajectory.positions_A[later] - trajectory.positions_A[origin]
        joined = later[:-1] == origin[1:]
        products_A2 = (steps_A[:-1] * steps_A[1:]).sum(axis=1)[joined]
        return float(len(steps_A)), float(joined.sum()), float((steps_A**2).sum()), float(products_A2.sum())

    def merge(self, left: DisplacementSums, right: DisplacementSums) -> DisplacementSums:
        """Join the tracks of two parts."""
        return left + right

    def finish(self, partial: DisplacementSums) -> DisplacementSums:
        """Return the sums of all tracks."""
        return partial


@dataclass(frozen=True)
class Diffusion:
    """Diffusion coefficient in two dimensions.

    Parameters
    ----------
    coefficient_A2_per_s
        Mean squared displacement over 4 t at long times [Å²/s]. It may come out negative where there is none.
    standard_error_A2_per_s
        Its standard error [Å²/s].
    low_A2_per_s, high_A2_per_s
        Ends of its 95 % confidence interval [Å²/s].
    naive_A2_per_s
        What the mean squared step alone would give, noise included [Å²/s].
    localisation_variance_A2
        Variance of the localisation noise per axis [Å²]; negative if steps keep their direction.
    mean_square_step_A2
        Mean squared displacement from one frame to the next [Å²].
    n_steps, n_tracks
        Steps and tracks it rests on.
    """

    coefficient_A2_per_s: float
    standard_error_A2_per_s: float
    low_A2_per_s: float
    high_A2_per_s: float
    naive_A2_per_s: float
    localisation_variance_A2: float
    mean_square_step_A2: float
    n_steps: int
    n_tracks: int


def diffusion(displacements: DisplacementSums, frame_time_s: float) -> Diffusion:
    """Covariance estimate of the diffusion coefficient [1]_.

    The mean product of steps that follow each other is minus the variance of the localisation noise, whatever the
    diffusion; with it the noise in the mean squared step cancels. Each atom is scanned in much less than a frame, so
    there is no motion blur. The standard error is the jackknife's over tracks [2]_ from eight tracks on, and that
    of [1]_ for free diffusion, with the steps of all tracks in one, below.

    Parameters
    ----------
    displacements
        Sums over the tracks.
    frame_time_s
        Time from one frame to the next [s].

    Raises
    ------
    HpcstemError
        There are no two steps that follow each other, or the time is not positive.
    """
    if not frame_time_s > 0:
        raise HpcstemError("time of a frame", f"{frame_time_s} s", "a positive time, `frame_time_s: 17.0`")
    sums = displacements.sums
    total = sums.sum(axis=0)
    if total[0] < 2 or total[1] < 1:
        raise HpcstemError("steps to diffuse by", f"{total[0]:.0f}, {total[1]:.0f} pairs", "frames in a row, three")
    coefficient = float(_covariance_estimate(total, frame_time_s))
    variance_A2 = -float(total[3] / total[1]) / 2.0
    error, freedom = _single_track_error(coefficient, variance_A2, float(total[0]), frame_time_s), np.inf
    left_out = total - sums
    if len(sums) >= _TRACKS_FOR_JACKKNIFE and (left_out[:, 1] > 0).all():
        spread = np.var(_covariance_estimate(left_out.T, frame_time_s))
        error, freedom = float(np.sqrt((len(sums) - 1) * spread)), len(sums) - 1
    reach = float(student.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    mean_square_A2 = float(total[2] / total[0])
    return Diffusion(
        coefficient,
        error,
        coefficient - reach,
        coefficient + reach,
        mean_square_A2 / (4.0 * frame_time_s),
        variance_A2,
        mean_square_A2,
        int(total[0]),
        len(sums),
    )


def gate_factor(mean_square_step_A2: float, gate_A: float) -> float:
    """Factor by which a gate of the linking shortens the mean squared step.

    The steps are taken to be Gaussian in two dimensions and all those beyond the gate to be lost. A gate of 1.5
    times the root mean square of the true steps gives 0.73, of twice 0.93.

    Parameters
    ----------
    mean_square_step_A2
        As found behind the gate [Å²].
    gate_A
        Longest displacement that was linked [Å].

    Returns
    -------
    float
        Found over true mean squared step; 0 where it is half the square of the gate or more, when the gate alone
        decides what is found.
    """
    wanted = mean_square_step_A2 / gate_A**2
    if wanted >= 0.5:
        return 0.0

    def factor(u: float) -> float:
        return 1.0 - u * np.exp(-u) / -np.expm1(-u)

    # u is the square of the gate over the true mean squared step.
    u = brentq(lambda u: factor(u) / u - wanted, 1e-6, max(10.0, 2.0 / max(wanted, 1e-12)))
    return float(factor(u))


def _covariance_estimate(sums: np.ndarray, frame_time_s: float) -> np.ndarray:
    """Coefficient [Å²/s] of sums (4, …) of both axes."""
    steps, pairs, squares, products = sums
    return (squares / steps / 2.0 + products / pairs) / (2.0 * frame_time_s)


def _single_track_error(coefficient: float, variance_A2: float, n_steps: float, frame_time_s: float) -> float:
    """Standard error of free diffusion over two axes, equation 17 of [1]_ without motion blur."""
    noise = max(variance_A2, 0.0) / frame_time_s
    scale = max(coefficient, 0.0)
    relative = 6.0 * scale**2 + 4.0 * noise * scale + 2.0 * noise**2
    return float(np.sqrt((relative / n_steps + 4.0 * (scale + noise) ** 2 / n_steps**2) / 2.0))
