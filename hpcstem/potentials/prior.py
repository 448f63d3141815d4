r"""Posterior of the coefficients under a prior of bounded curvature, whose strength the data choose.

The moments Zᵀv are normal about D h with the covariance s² ZᵀZ / n, so that the coefficients have the
precision :math:`P = (n / s^2) D^T (Z^T Z)^{-1} D` and a normal likelihood; for Euler's rule, where D = ZᵀZ,
that is ordinary least squares, for the other rules two-stage least squares [1]_.

The prior of each species pair is :math:`\exp(-α h^T R h / 2)` with
:math:`h^T R h = \int (r / r_1)^{p} U''(r)^2 dr`. The evidence [2]_ chooses p among 0, 4, 8 and 12, and α for each
pair, drawn towards the others' so that a rare pair is not taken for a straight line. A potential with a steep wall
and a flat tail asks for a large p, a smooth one for a small p; with one p for all, the bands of one or the other
kind do not cover the truth (`docs/potentials.md`).

References
----------
.. [1] J. M. Wooldridge, Econometric Analysis of Cross Section and Panel Data, 2nd ed. (2010), chapter 8.
.. [2] D. J. C. MacKay, Neural Computation 4, 415 (1992), https://doi.org/10.1162/neco.1992.4.3.415
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import block_diag, cho_factor, cho_solve, eigh

from hpcstem.errors import StructureError
from hpcstem.potentials.bases import PairBasis
from hpcstem.potentials.equations import EquationSums

_EXPONENTS = (0, 4, 8, 12)
_N_POINTS = 1024
_ROUNDS = 100
_LARGEST_STEP = 100.0
_CONVERGED = 1e-2
_SILENT = 1e-12
"""Directions with less than this part of the largest eigenvalue of the Gram matrix count as not seen."""
_STIFFENING = 1e-9


@dataclass(frozen=True)
class Likelihood:
    """What the data say of the coefficients.

    Parameters
    ----------
    precision
        With shape (n_unknowns, n_unknowns), float64.
    pull
        Precision times the estimate without a prior, with shape (n_unknowns,), float64.
    noise_power
        Variance of a velocity component of the first species about the fit [Å²/time²].
    n_values
        Effective number of velocity components.
    gram
        ZᵀZ in the same units, with shape (n_unknowns, n_unknowns), float64.
    """

    precision: np.ndarray
    pull: np.ndarray
    noise_power: float
    n_values: float
    gram: np.ndarray

    @classmethod
    def of(cls, sums: EquationSums) -> Likelihood:
        """Likelihood of the sums over all intervals.

        Raises
        ------
        StructureError
            No interval with an atom in it: one frame only, no linked atoms, or gaps between all frames; or no
            atom that moves.
        """
        if sums.n_intervals == 0:
            wanted = "linked atoms in at least two consecutive frames, three for a lag of 1 or Simpson's rule"
            raise StructureError("intervals in the trajectory", "none", wanted)
        whitener = whitening(sums.gram)
        design, moment = whitener.T @ sums.design, whitener.T @ sums.moment
        n_values = sums.weight**2 / sums.squared_weight
        # As many unknowns as there are directions seen are fitted.
        spare = max(1.0 - whitener.shape[1] / n_values, 1.0 / n_values)
        noise_power = (sums.power - moment @ moment) / sums.weight / spare
        if not noise_power > 0:
            raise StructureError("motion in the trajectory", "no atom that moves at random", "atoms that move")
        scale = n_values / (sums.weight * noise_power)
        return cls(
            scale * design.T @ design, scale * design.T @ moment, float(noise_power), float(n_values), scale * sums.gram
        )

    def with_noise(self, ratio: float) -> Likelihood:
        """Return the same for moments whose variance is `ratio` times what white noise would give."""
        return replace(self, precision=self.precision / ratio, pull=self.pull / ratio)

    def with_moment(self, sums: EquationSums, moment: np.ndarray) -> Likelihood:
        """Return the same with other moments than those of `sums`, of the same noise."""
        whitener = whitening(sums.gram)
        scale = self.n_values / (sums.weight * self.noise_power)
        pull = scale * (whitener.T @ sums.design).T @ (whitener.T @ moment)
        return replace(self, pull=pull)


def whitening(gram: np.ndarray) -> np.ndarray:
    """Matrix W with WᵀGW = 1 on the directions that the Gram matrix G sees, shape (n_unknowns, n_seen)."""
    eigenvalues, vectors = eigh(gram)
    seen = eigenvalues > _SILENT * max(eigenvalues[-1], np.finfo(float).tiny)
    return vectors[:, seen] / np.sqrt(eigenvalues[seen])


@dataclass(frozen=True)
class Posterior:
    """Coefficients and their covariance.

    Parameters
    ----------
    coefficients
        Mean, with shape (n_unknowns,), float64.
    covariance
        With shape (n_unknowns, n_unknowns), float64.
    exponent
        Power p of the distance in the roughness.
    strength
        α of each species pair, with shape (n_pairs,), float64.
    penalty
        Precision of the prior, with shape (n_unknowns, n_unknowns), float64.
    log_evidence
        Of the exponent and the strengths, less a constant.
    degrees
        Number of coefficients that the data, not the prior, determine.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    exponent: int
    strength: np.ndarray
    penalty: np.ndarray
    log_evidence: float
    degrees: float


def posterior(likelihood: Likelihood, basis: PairBasis, n_pairs: int) -> Posterior:
    """Posterior at the exponent and the strengths of the largest evidence.

    Parameters
    ----------
    likelihood
        What the data say.
    basis
        Functions of each pair.
    n_pairs
        Number of species pairs.
    """
    candidates = [_at_exponent(likelihood, basis, n_pairs, exponent) for exponent in _EXPONENTS]
    return max(candidates, key=lambda candidate: candidate.log_evidence)


def roughness(basis: PairBasis, exponent: int) -> np.ndarray:
    """Matrix R of the prior, shape (n_columns, n_columns), with a trace of stiffness where a function has no bend."""
    edges_A = np.linspace(basis.low_A, basis.cutoff_A, _N_POINTS + 1)
    r_A = (edges_A[1:] + edges_A[:-1]) / 2
    bends = basis.curvatures(r_A) * np.sqrt((r_A / basis.low_A) ** exponent * np.diff(edges_A))[:, None]
    matrix = bends.T @ bends
    return matrix + _STIFFENING * np.diag(np.diag(matrix))


def _at_exponent(likelihood: Likelihood, basis: PairBasis, n_pairs: int, exponent: int) -> Posterior:
    """Posterior at the strengths where MacKay's update stands still."""
    rough, n = roughness(basis, exponent), basis.n_columns
    blocks = [slice(k * n, (k + 1) * n) for k in range(n_pairs)]
    strength = np.full(n_pairs, 1e-3 * np.trace(likelihood.precision) / n_pairs / np.trace(rough))
    for _ in range(_ROUNDS):
        mean, covariance = posterior_at(likelihood, block_diag(*(a * rough for a in strength)))
        fitted = np.array([n - a * np.sum(covariance[b, b] * rough) for a, b in zip(strength, blocks, strict=True)])
        bending = np.array([mean[b] @ rough @ mean[b] for b in blocks])
        # Each pair's own, and as much again of what is common to all.
        updated = (fitted + fitted.mean()) / np.maximum(bending + bending.mean(), np.finfo(float).tiny)
        updated = np.clip(updated, strength / _LARGEST_STEP, strength * _LARGEST_STEP)
        change = np.abs(np.log(updated / strength)).max()
        strength = updated
        if change < _CONVERGED:
            break
    penalty = block_diag(*(a * rough for a in strength))
    mean, covariance = posterior_at(likelihood, penalty)
    log_evidence = 0.5 * (
        n * np.log(strength).sum()
        + n_pairs * np.linalg.slogdet(rough)[1]
        + np.linalg.slogdet(covariance)[1]
        + likelihood.pull @ mean
    )
    degrees = float(np.sum(covariance * likelihood.precision))
    return Posterior(mean, covariance, exponent, strength, penalty, float(log_evidence), degrees)


def posterior_at(likelihood: Likelihood, penalty: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance at a given penalty, with shape (n_unknowns, n_unknowns)."""
    factor = cho_factor(likelihood.precision + penalty)
    return cho_solve(factor, likelihood.pull), cho_solve(factor, np.eye(len(penalty)))
