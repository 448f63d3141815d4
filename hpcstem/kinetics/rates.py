"""Rates per second from transitions counted at several frame times, which no matrix per frame can hold together.

A chain that runs on between the frames with the rates K goes from one class to another within the time t with the
probability exp(K t) [1]_: the likelihood of one K is the product over movies of all frame times.

References
----------
.. [1] J. D. Kalbfleisch and J. F. Lawless, The analysis of panel data under a Markov assumption, J. Am. Stat. Assoc.
   80, 863 (1985), https://doi.org/10.1080/01621459.1985.10478195
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import expm, expm_frechet
from scipy.optimize import minimize

from hpcstem.errors import HpcstemError
from hpcstem.kinetics.chain_tests import ChainTest, outcome
from hpcstem.kinetics.counts import TransitionCounts
from hpcstem.kinetics.matrix import CONFIDENCE

_N_SAMPLES = 4000
_MOST_STATES = 30
"""With more, the rates and their covariances take minutes and gigabytes."""
_LEAST_PROBABILITY = 1e-12
_STEP = 1e-4
"""Step of the differences of gradients, in square roots of rates per shortest lag."""
_FASTEST = 5.0
"""Rates of so many changes per shortest lag leave nothing but the shares of the classes to be seen."""


@dataclass(frozen=True, eq=False)
class Rates:
    """Rates of a chain in continuous time.

    Parameters
    ----------
    estimate
        Rate from state i to state j [1/s], of greatest likelihood; on the diagonal minus the sum of the others; NaN
        where state i was never seen one lag before another frame. With shape (n_states, n_states), float64.
    low, high
        Ends of the 95 % intervals of the rates off the diagonal, likewise; NaN on the diagonal.
    lifetimes_s
        Mean time that each state lasts and the ends of its interval [s], each with shape (n_states,), float64.
    agreement
        Test whether these rates give the transitions that were seen at each frame time.
    """

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    lifetimes_s: tuple[np.ndarray, np.ndarray, np.ndarray]
    agreement: ChainTest


def rates(
    counts: Sequence[TransitionCounts],
    frame_times_s: Sequence[float],
    seed: np.random.SeedSequence,
    absorbing: Sequence[int] = (),
) -> Rates:
    """Return the rates of greatest likelihood, with intervals.

    The posterior of the square roots of the rates, under Jeffreys' prior of a rate, in which they are even, is taken as
    Gaussian around its maximum.

    Parameters
    ----------
    counts
        Pooled counts of each frame time, of the same states.
    frame_times_s
        The frame times [s].
    seed
        Source of the draws.
    absorbing
        States that are never left by definition.

    Raises
    ------
    HpcstemError
        There are more than 30 states, no transition was seen, or the frames are slower than the changes, so that rates
        cannot be told.
    """
    if counts[0].n_states > _MOST_STATES:
        raise HpcstemError("rates", f"{counts[0].n_states} classes", f"at most {_MOST_STATES}; a larger `min_count`")
    tables = np.array([count.independent for count in counts])
    times_s = np.array([count.lag_frames * t for count, t in zip(counts, frame_times_s, strict=True)])
    unit_s = float(times_s.min())
    free = ~np.eye(tables.shape[1], dtype=bool) & (tables.sum(axis=(0, 2)) > 0)[:, None]
    free[list(absorbing)] = False
    if not (tables.sum(axis=0)[free] > 0).any():
        raise HpcstemError("rates", "no transition seen", "movies in which a class changes into another")
    problem = _Likelihood(tables, times_s / unit_s, free)
    at_risk = (tables * (times_s / unit_s)[:, None, None]).sum(axis=(0, 2))
    start = np.sqrt(((tables.sum(axis=0) + 0.5) / (at_risk[:, None] + 0.5))[free])
    best = minimize(problem, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000, "ftol": 1e-12, "gtol": 1e-6})
    roots = np.abs(best.x)
    information = problem.information(roots)
    if problem.matrix(roots).max() > _FASTEST or np.linalg.eigvalsh(information)[0] <= 0:
        raise HpcstemError("rates", "frames slower than the changes of class", "a shorter frame time")
    spread = np.linalg.inv(information)
    draws = np.random.default_rng(seed).multivariate_normal(roots, spread, _N_SAMPLES, method="eigh")
    matrices = np.array([problem.matrix(draw) for draw in draws]) / unit_s
    estimate = problem.matrix(roots) / unit_s
    low, high = np.quantile(matrices, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    unknown = ~free.any(axis=1)
    unknown[list(absorbing)] = False
    for array in (estimate, low, high):
        array[unknown] = np.nan
    with np.errstate(divide="ignore"):
        mean_s, least_s, most_s = (1.0 / np.abs(np.diag(array)) for array in (estimate, low, high))
    for array in (low, high):
        np.fill_diagonal(array, np.nan)
    return Rates(estimate, low, high, (mean_s, least_s, most_s), _agreement(problem, roots))


@dataclass(frozen=True, eq=False)
class _Likelihood:
    """Minus the logarithm of the likelihood of square roots of rates, those in `free`, and its gradient."""

    tables: np.ndarray
    times: np.ndarray
    free: np.ndarray

    def matrix(self, roots: np.ndarray) -> np.ndarray:
        found = np.zeros(self.free.shape)
        found[self.free] = roots**2
        np.fill_diagonal(found, -found.sum(axis=1))
        return found

    def probabilities(self, roots: np.ndarray) -> np.ndarray:
        steps = self.times[:, None, None] * self.matrix(roots)
        return np.maximum(expm(steps), _LEAST_PROBABILITY)

    def __call__(self, roots: np.ndarray) -> tuple[float, np.ndarray]:
        chances, matrix = self.probabilities(roots), self.matrix(roots)
        slope = np.zeros_like(matrix)
        for table, time, chance in zip(self.tables, self.times, chances, strict=True):
            slope -= time * expm_frechet(time * matrix.T, table / chance, compute_expm=False)
        by_rate = (slope - np.diag(slope)[:, None])[self.free]
        return -float((self.tables * np.log(chances)).sum()), 2.0 * roots * by_rate

    def information(self, roots: np.ndarray) -> np.ndarray:
        """Second derivatives, from differences of gradients."""
        shifts = _STEP * np.eye(len(roots))
        found = np.array([self(roots + shift)[1] - self(roots - shift)[1] for shift in shifts]) / (2 * _STEP)
        return (found + found.T) / 2


def _agreement(problem: _Likelihood, roots: np.ndarray) -> ChainTest:
    """Hold the rates against a matrix of its own for each frame time."""
    statistic, freedom, expected = 0.0, -int(problem.free.sum()), []
    for table, chance in zip(problem.tables, problem.probabilities(roots), strict=True):
        rows = problem.free.any(axis=1) & (table.sum(axis=1) > 0)
        kept, total = table[rows], table[rows].sum(axis=1, keepdims=True)
        seen = kept > 0
        statistic += 2.0 * float((kept * np.log(np.where(seen, kept / total / chance[rows], 1.0))).sum())
        freedom += int(rows.sum()) * (len(table) - 1)
        expected.append((total * chance[rows]).ravel())
    return outcome("movies of all frame times have these rates", statistic, max(freedom, 0), np.concatenate(expected))
