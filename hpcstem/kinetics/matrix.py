"""Transition matrices with error bars, from pooled counts.

References
----------
.. [1] A. Gelman et al., Bayesian Data Analysis, 3rd edition, section 3.4 (Dirichlet posterior of a multinomial)
.. [2] J.-H. Prinz et al., J. Chem. Phys. 134, 174105 (2011), https://doi.org/10.1063/1.3565032
.. [3] J. G. Kemeny and J. L. Snell, Finite Markov Chains, chapter 3 (absorbing chains), Springer 1976
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpcstem.errors import HpcstemError
from hpcstem.kinetics.counts import TransitionCounts

PRIOR_COUNT = 0.5
"""Pseudo-count of each transition before any was seen, Jeffreys' prior of a multinomial."""
CONFIDENCE = 0.95
"""Posterior probability inside every interval."""


@dataclass(frozen=True)
class Interval:
    """A number with the ends of its 95 % credible interval.

    Parameters
    ----------
    value
        Posterior median.
    low, high
        Posterior quantiles at 2.5 and 97.5 %.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class TransitionMatrix:
    """Posterior of a transition matrix.

    Parameters
    ----------
    estimate
        Probability of state j one lag after state i; rows sum to 1, with shape (n_states, n_states), float64.
        The posterior mean of rows that are independent, the greatest likelihood of a reversible matrix.
    samples
        Draws from the posterior, with shape (n_samples, n_states, n_states), float64.
    lag_frames
        Frames from one state to the next.
    states
        Number of each of its states among those that were counted, with shape (n_states,), int64.
    """

    estimate: np.ndarray
    samples: np.ndarray
    lag_frames: int
    states: np.ndarray

    @property
    def interval(self) -> tuple[np.ndarray, np.ndarray]:
        """Ends of the 95 % intervals of all entries, each with shape (n_states, n_states), float64."""
        return _quantiles(self.samples)

    @property
    def stationary(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Shares of the states after a long time and the ends of their intervals, each (n_states,), float64.

        With one absorbing state all ends there; with several it depends on the start and is no property of the
        matrix, and all three are NaN.
        """
        if (np.diag(self.estimate) == 1.0).sum() > 1:
            unknown = np.full(len(self.estimate), np.nan)
            return unknown, unknown, unknown
        low, high = _quantiles(_stationary(self.samples))
        return _stationary(self.estimate[None])[0], low, high

    @property
    def second_eigenvalue(self) -> Interval:
        """Modulus of the second largest eigenvalue: what is left of a disturbance after one lag."""
        return _interval(_second_eigenvalue(self.samples))

    @property
    def relaxation_frames(self) -> Interval:
        """Slowest relaxation time, -lag / ln |λ₂| [frames] [2]_."""
        modulus = np.clip(_second_eigenvalue(self.samples), 1e-300, 1.0)
        with np.errstate(divide="ignore"):
            return _interval(self.lag_frames / np.abs(np.log(modulus)))

    @property
    def absorption_frames(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean time from each state to an absorbing one and its interval [frames], each (n_states,), float64.

        Zero for the absorbing states, infinite for all others if there are none [3]_.
        """
        transient = np.diag(self.estimate) < 1.0
        times = np.zeros((len(self.samples) + 1, len(self.estimate)))
        if transient.all():
            times[:] = np.inf
        else:
            inner = np.concatenate([self.estimate[None], self.samples])[:, transient][:, :, transient]
            ones = np.ones((len(inner), transient.sum(), 1))
            times[:, transient] = self.lag_frames * np.linalg.solve(np.eye(transient.sum()) - inner, ones)[:, :, 0]
        low, high = _quantiles(times[1:])
        return times[0], low, high


def transition_matrix(
    counts: TransitionCounts,
    seed: np.random.SeedSequence,
    absorbing: Sequence[int] = (),
    n_samples: int = 4000,
) -> TransitionMatrix:
    """Posterior with independent Dirichlet rows [1]_: no detailed balance is assumed.

    Parameters
    ----------
    counts
        Pooled counts. At lags above 1 the intervals rest on the counts over the lag, for windows overlap.
    seed
        Source of the draws.
    absorbing
        States that are never left by definition: their rows are exact.
    n_samples
        Draws from the posterior.

    Raises
    ------
    HpcstemError
        An absorbing state is not among the states, or was left.
    """
    _check_absorbing(counts, absorbing)
    alpha = counts.independent + PRIOR_COUNT
    draws = np.random.default_rng(seed).standard_gamma(alpha, (n_samples, *alpha.shape))
    samples = draws / draws.sum(axis=2, keepdims=True)
    estimate = alpha / alpha.sum(axis=1, keepdims=True)
    for state in absorbing:
        estimate[state] = samples[:, state] = np.eye(counts.n_states)[state]
    return TransitionMatrix(estimate, samples, counts.lag_frames, np.arange(counts.n_states))


def _check_absorbing(counts: TransitionCounts, absorbing: Sequence[int]) -> None:
    for state in absorbing:
        if not 0 <= state < counts.n_states:
            raise HpcstemError("absorbing state", state, f"0 to {counts.n_states - 1}")
        left = int(counts.counts[state].sum() - counts.counts[state, state])
        if left:
            raise HpcstemError(f"absorbing state {state}", f"left {left} times", "a state that is never left")


def _stationary(matrices: np.ndarray) -> np.ndarray:
    """Left eigenvectors of eigenvalue 1 of (n, k, k) matrices, as shares, (n, k)."""
    n, k = matrices.shape[:2]
    system = np.swapaxes(matrices, 1, 2) - np.eye(k)
    # The equations sum to zero: the last gives way to the sum of the shares.
    system[:, -1] = 1.0
    wanted = np.zeros((n, k, 1))
    wanted[:, -1] = 1.0
    return np.linalg.solve(system, wanted)[:, :, 0]


def _second_eigenvalue(matrices: np.ndarray) -> np.ndarray:
    if matrices.shape[1] < 2:
        return np.zeros(len(matrices))
    return np.sort(np.abs(np.linalg.eigvals(matrices)), axis=1)[:, -2]


def _quantiles(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Between two draws nothing is interpolated, for a time may be infinite in both.
    low, high = np.quantile(samples, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0, method="nearest")
    return low, high


def _interval(samples: np.ndarray) -> Interval:
    low, high = _quantiles(samples)
    return Interval(float(np.median(samples)), float(low), float(high))
