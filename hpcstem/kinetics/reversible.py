"""Transition matrices under detailed balance, by deeptime.

The electron beam drives a specimen, so detailed balance is to be tested first
(`hpcstem.kinetics.chain_tests.detailed_balance`).

References
----------
.. [1] M. Hoffmann et al., Deeptime, Mach. Learn.: Sci. Technol. 3, 015009 (2022),
   https://doi.org/10.1088/2632-2153/ac3de0
.. [2] B. Trendelkamp-Schroer et al., Estimation and uncertainty of reversible Markov models, J. Chem. Phys. 143,
   174101 (2015), https://doi.org/10.1063/1.4934536
"""

from __future__ import annotations

import numpy as np
from scipy.sparse.csgraph import connected_components

from hpcstem.errors import HpcstemError
from hpcstem.kinetics.counts import TransitionCounts
from hpcstem.kinetics.matrix import PRIOR_COUNT, TransitionMatrix

_MARKOV_CHAIN_STEPS = 20
"""Steps of the sampler from one draw to the next."""


def reversible_transition_matrix(
    counts: TransitionCounts, seed: np.random.SeedSequence, n_samples: int = 1000
) -> TransitionMatrix:
    """Transition matrix of greatest likelihood under detailed balance, and its posterior [1]_ [2]_.

    Parameters
    ----------
    counts
        Pooled counts. Only the largest set of states that all lead to each other is kept; absorbing states and
        states that were never left fall out of it.
    seed
        Source of the draws.
    n_samples
        Draws from the posterior, with the same pseudo-counts as independent rows have.

    Returns
    -------
    TransitionMatrix
        Over the states of that set.

    Raises
    ------
    HpcstemError
        No two states lead to each other.
    """
    from deeptime.markov.tools.estimation import transition_matrix as greatest_likelihood
    from deeptime.markov.tools.estimation.dense.tmat_sampling.tmatrix_sampler import TransitionMatrixSampler

    states = connected_states(counts.counts)
    if len(states) < 2:
        raise HpcstemError(
            "reversible transition matrix", "no two states that lead to each other", "transitions both ways"
        )
    kept = counts.independent[np.ix_(states, states)]
    estimate = greatest_likelihood(kept, reversible=True)
    # Under the prior of [2] alone what was not seen is impossible, and intervals hold the truth too rarely.
    with_prior = kept + PRIOR_COUNT
    sampler = TransitionMatrixSampler(
        with_prior,
        reversible=True,
        P0=greatest_likelihood(with_prior, reversible=True),
        n_steps=_MARKOV_CHAIN_STEPS,
        seed=int(seed.generate_state(1)[0] >> 1),
    )
    return TransitionMatrix(estimate, sampler.sample(n_samples), counts.lag_frames, states)


def connected_states(counts: np.ndarray) -> np.ndarray:
    """Largest set of states that all lead to each other, the one with most counts where several are as large.

    Parameters
    ----------
    counts
        With shape (n_states, n_states).

    Returns
    -------
    numpy.ndarray
        Ascending, int64.
    """
    n_sets, member = connected_components(counts > 0, directed=True, connection="strong")
    sizes = np.bincount(member, minlength=n_sets)
    seen = np.bincount(member, counts.sum(axis=1), minlength=n_sets)
    best = max(range(n_sets), key=lambda k: (sizes[k], seen[k], -k))
    return np.flatnonzero(member == best)
