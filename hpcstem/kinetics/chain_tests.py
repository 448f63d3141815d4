"""Tests of what a transition matrix takes for granted: memory of one step, and, where asked for, detailed balance.

References
----------
.. [1] P. Billingsley, Statistical methods in Markov chains, Ann. Math. Stat. 32, 12 (1961),
   https://doi.org/10.1214/aoms/1177705136 (chi-squared tests of the order of a chain)
.. [2] J.-H. Prinz et al., J. Chem. Phys. 134, 174105 (2011), https://doi.org/10.1063/1.3565032
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from hpcstem.errors import HpcstemError
from hpcstem.kinetics.counts import TransitionCounts
from hpcstem.kinetics.matrix import TransitionMatrix
from hpcstem.kinetics.reversible import connected_states

_FEW = 5.0


@dataclass(frozen=True)
class ChainTest:
    """Outcome of a test.

    Parameters
    ----------
    hypothesis
        What would be true if nothing speaks against it.
    statistic
        Chi-squared statistic.
    degrees_of_freedom
        Of its distribution; 0 where the data cannot speak, and then `p_value` is 1.
    p_value
        Probability of a statistic this large or larger under the hypothesis.
    few_counts
        Share of the expected counts that are below 5. Above about 0.2 the p value is rough.
    """

    hypothesis: str
    statistic: float
    degrees_of_freedom: int
    p_value: float
    few_counts: float


def independence(counts: TransitionCounts) -> ChainTest:
    """Test whether the next state depends on the present one at all [1]_.

    If it does not, the frame is slower than the mixing and transition probabilities are no more than the shares
    of the states.
    """
    statistic, freedom, expected = _contingency(counts.independent)
    return outcome("the next state does not depend on the present one", statistic, freedom, expected)


def memory(counts: TransitionCounts) -> ChainTest:
    """Test whether the next state depends on the one before the present, which a Markov chain's does not [1]_.

    States that are mixtures of unlike ones, misread frames and frames missed for a reason show up here.
    """
    parts = [_contingency(counts.triples[:, middle] / counts.lag_frames) for middle in range(counts.n_states)]
    return outcome(
        "the next state depends on the present one alone",
        sum(part[0] for part in parts),
        sum(part[1] for part in parts),
        np.concatenate([part[2].ravel() for part in parts]),
    )


def detailed_balance(counts: TransitionCounts) -> ChainTest:
    """Test whether every transition is as frequent as its reverse once the chain has settled.

    The likelihood of the best matrix is held against that of the best reversible one. The degrees of freedom are
    the independent cycles of the graph of transitions, each of which may carry a current.
    """
    from deeptime.markov.tools.estimation import transition_matrix

    states = connected_states(counts.counts)
    kept = counts.independent[np.ix_(states, states)]
    seen = (kept + kept.T > 0) & ~np.eye(len(kept), dtype=bool)
    cycles = int(seen.sum()) // 2 - len(kept) + 1
    hypothesis = "every transition is as frequent as its reverse"
    if cycles < 1:
        return ChainTest(hypothesis, 0.0, 0, 1.0, 0.0)
    free = kept / kept.sum(axis=1, keepdims=True)
    reversible = transition_matrix(kept, reversible=True)
    used = kept > 0
    statistic = 2.0 * float((kept[used] * np.log(free[used] / reversible[used])).sum())
    expected = (kept.sum(axis=1, keepdims=True) * reversible)[seen]
    return outcome(hypothesis, max(statistic, 0.0), cycles, expected)


@dataclass(frozen=True, eq=False)
class ChapmanKolmogorov:
    """Transition probabilities at a long lag: predicted from a short one, and counted.

    Parameters
    ----------
    lag_frames
        The long lag.
    predicted, predicted_low, predicted_high
        Powers of the matrix at the short lag and their 95 % intervals, each (n_states, n_states), float64.
    counted, counted_low, counted_high
        Matrix from the counts at the long lag and its intervals, likewise.
    """

    lag_frames: int
    predicted: np.ndarray
    predicted_low: np.ndarray
    predicted_high: np.ndarray
    counted: np.ndarray
    counted_low: np.ndarray
    counted_high: np.ndarray


def chapman_kolmogorov(short: TransitionMatrix, long: TransitionMatrix) -> ChapmanKolmogorov:
    """Hold powers of the matrix at a short lag against the matrix counted at a long one [2]_.

    Raises
    ------
    HpcstemError
        The long lag is no multiple of the short one, or the states differ.
    """
    if long.lag_frames % short.lag_frames or not np.array_equal(short.states, long.states):
        raise HpcstemError(
            "matrices of the Chapman-Kolmogorov test",
            f"lags {short.lag_frames} and {long.lag_frames}, {len(short.states)} and {len(long.states)} states",
            "a multiple of the shorter lag, and the same states",
        )
    power = long.lag_frames // short.lag_frames
    low, high = np.quantile(np.linalg.matrix_power(short.samples, power), [0.025, 0.975], axis=0)
    predicted = np.linalg.matrix_power(short.estimate, power)
    return ChapmanKolmogorov(long.lag_frames, predicted, low, high, long.estimate, *long.interval)


def _contingency(table: np.ndarray) -> tuple[float, int, np.ndarray]:
    """Pearson's statistic of independence of rows and columns, degrees of freedom, expected counts."""
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    if min(table.shape, default=0) < 2:
        return 0.0, 0, np.empty(0)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    return statistic, (table.shape[0] - 1) * (table.shape[1] - 1), expected


def outcome(hypothesis: str, statistic: float, freedom: int, expected: np.ndarray) -> ChainTest:
    """Outcome of a chi-squared statistic with the counts that the hypothesis expects."""
    p_value = float(chi2.sf(statistic, freedom)) if freedom else 1.0
    few = float((expected < _FEW).mean()) if expected.size else 0.0
    return ChainTest(hypothesis, statistic, freedom, p_value, few)
