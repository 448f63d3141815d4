"""Outer search over bases: number of functions, widths, repulsion radius, by their evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hpcstem.errors import StructureError
from hpcstem.potentials.bases import PairBasis
from hpcstem.potentials.equations import ForceEquations
from hpcstem.potentials.likelihood import Likelihood
from hpcstem.potentials.pairs import species_pairs
from hpcstem.potentials.prior import pair_prior, posterior
from hpcstem.potentials.streaming import Segment, Streamed


@dataclass(frozen=True)
class Candidate:
    """One basis tried.

    Parameters
    ----------
    basis
        The functions.
    log_evidence
        Logarithm of the probability of the motion, less a constant that is common to all candidates.
    degrees
        Number of coefficients that the data determine.
    """

    basis: PairBasis
    log_evidence: float
    degrees: float


def ranked(
    run: Callable[[Any, Sequence[Segment]], Any],
    parts: Sequence[Segment],
    equations: ForceEquations,
    bases: Sequence[PairBasis],
    piece: int = 64,
) -> list[Candidate]:
    """Try bases on the same trajectory, one pass each; the best first.

    Parameters
    ----------
    run
        Runs an analysis over segments: the method `run` of an executor.
    parts
        Segments of the trajectory.
    equations
        Rule, lag, interval and mobilities; its basis is replaced.
    bases
        Candidates with the same cut-off: forces beyond it are another model.
    piece
        Snapshots in memory at a time.

    Raises
    ------
    StructureError
        No candidate, or different cut-offs.
    """
    cutoffs = sorted({basis.cutoff_A for basis in bases})
    if len(cutoffs) != 1:
        raise StructureError("cut-offs of the bases", cutoffs or "no basis", "one cut-off for all")
    n_pairs = len(species_pairs(len(equations.symbols)))
    tried = []
    for basis in bases:
        sums = run(Streamed(replace(equations, basis=basis), piece), parts).total
        best = posterior(Likelihood.of(sums), [pair_prior(basis, n_pairs)])
        tried.append(Candidate(basis, best.log_evidence, best.degrees))
    return sorted(tried, key=lambda candidate: -candidate.log_evidence)
