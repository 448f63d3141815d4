r"""Posterior of the coefficients under a prior of power laws, whose strengths the data choose.

A potential is taken for a sum of parts :math:`r^{-m} f_m(\ln r)`, m = 0, 3, 6 and 12, each a Gaussian process that
bends little on the scale of ln r (Matérn's of order 3/2 [1]_): what an atom feels varies over distances in proportion
to the distance, and falls off. A basis that ends at the cut-off without a slope holds such a part less its tangent
there, and the prior is that of the part, whatever its tangent. One more part, for what is no potential of this kind,
has the precision :math:`\int (r / r_1)^{12} U''(r)^2 dr`, the kernel of reciprocal powers that is used to interpolate
ab initio energies [2]_.

The evidence [3]_ chooses the variance of each part and how much larger or smaller one member of a group, such as a
species pair, is than the others. A part that the data do not ask for fades, but slowly: the logarithm of its share of
the variance has a normal prior. What is left open about the variances widens the covariance [4]_.

References
----------
.. [1] C. E. Rasmussen and C. K. I. Williams, Gaussian Processes for Machine Learning (2006), chapter 4.
.. [2] T.-S. Ho and H. Rabitz, J. Chem. Phys. 104, 2584 (1996), https://doi.org/10.1063/1.470984
.. [3] D. J. C. MacKay, Neural Computation 4, 415 (1992), https://doi.org/10.1162/neco.1992.4.3.415
.. [4] R. E. Kass and D. Steffey, J. Am. Stat. Assoc. 84, 717 (1989),
   https://doi.org/10.1080/01621459.1989.10478825
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from scipy.linalg import block_diag, cho_factor, cho_solve
from scipy.optimize import minimize

from hpcstem.potentials.bases import PairBasis
from hpcstem.potentials.likelihood import Likelihood

_POWERS = (0, 3, 6, 12)
_CURVATURE_POWER = 12
_DECAY = 0.3
"""One over the correlation length of ln r."""
_N_POINTS = 1024
_STIFFENING = 1e-12
_SHARE_SPREAD = 8.0
"""Standard deviation of the logarithm of each part's share of the variance."""
_MEMBER_SPREAD = 1.0
"""The same of a member's variance over that of its group."""
_FARTHEST = 24.0
"""By which a logarithm may fall below its first guess; a prior too wide is lost in rounding."""
_LEAST_CURVATURE = 0.25
"""Of the evidence along any combination of logarithms: where it is flat, they are uncertain by two."""
_LOG_STEP = 0.1


@dataclass(frozen=True)
class PriorGroup:
    """Unknowns that are alike: as many members in turn, each with the same functions.

    Parameters
    ----------
    n_members
        Number of members.
    kernels
        Covariance of one member's coefficients for each part, up to a factor, with shape (n_parts, n, n), float64.
    """

    n_members: int
    kernels: np.ndarray


@dataclass(frozen=True)
class Posterior:
    """Coefficients and their covariance.

    Parameters
    ----------
    coefficients
        Mean, with shape (n_unknowns,), float64.
    covariance
        With shape (n_unknowns, n_unknowns), float64.
    widening
        Part of it that comes from what is not known of the prior, with the same shape.
    penalty
        Precision of the prior, with shape (n_unknowns, n_unknowns), float64.
    log_evidence
        Of the prior, less a constant.
    degrees
        Number of coefficients that the data, not the prior, determine.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    widening: np.ndarray
    penalty: np.ndarray
    log_evidence: float
    degrees: float


def pair_prior(basis: PairBasis, n_pairs: int) -> PriorGroup:
    """Prior of the potentials of all species pairs."""
    precisions = [_roughness(basis, power) for power in _POWERS] + [_curvature(basis)]
    return PriorGroup(n_pairs, np.stack([_inverse(precision)[0] for precision in precisions]))


def _curvature(basis: PairBasis) -> np.ndarray:
    """Precision of the last part, up to a factor, with shape (n_columns, n_columns), float64."""
    edges_A = np.linspace(basis.low_A, basis.cutoff_A, _N_POINTS + 1)
    r_A = (edges_A[1:] + edges_A[:-1]) / 2
    bends = basis.curvatures(r_A) * (r_A / basis.low_A)[:, None] ** (_CURVATURE_POWER / 2)
    return np.asarray(bends.T @ bends)


def _roughness(basis: PairBasis, power: int) -> np.ndarray:
    """Precision of one of the other parts, up to a factor, with shape (n_columns, n_columns), float64."""
    # The functions bend to their end in the last interval, which says nothing of the potential.
    end_A = basis.cutoff_A - (basis.cutoff_A - basis.low_A) / basis.n_functions
    edges_A = np.linspace(basis.low_A, end_A, _N_POINTS + 1)
    r_A = ((edges_A[1:] + edges_A[:-1]) / 2)[:, None]
    none = np.zeros_like(r_A)
    values = np.hstack([basis.values(r_A[:, 0]), none + 1, r_A - basis.cutoff_A])
    slopes = r_A * np.hstack([basis.slopes(r_A[:, 0]), none, none + 1])
    bends = r_A**2 * np.hstack([basis.curvatures(r_A[:, 0]), none, none])
    # Derivatives of r^m U by ln r, and Matérn's weights of their squares.
    parts = (bends + (2 * power + 1) * slopes + power**2 * values, slopes + power * values, values)
    weight = (r_A / basis.low_A) ** (2 * power) * np.diff(edges_A)[:, None] / r_A
    matrix = sum(
        (part.T @ (weight * part)) * scale for part, scale in zip(parts, (1, 2 * _DECAY**2, _DECAY**4), strict=True)
    )
    n = basis.n_columns
    tangent = np.linalg.pinv(matrix[n:, n:], rcond=1e-13, hermitian=True)
    matrix = matrix[:n, :n] - matrix[:n, n:] @ tangent @ matrix[n:, :n]
    return np.asarray((matrix + matrix.T) / 2)


def posterior(likelihood: Likelihood, groups: Sequence[PriorGroup]) -> Posterior:
    """Posterior at the variances of the largest evidence.

    Parameters
    ----------
    likelihood
        What the data say.
    groups
        Priors of the unknowns in their order.
    """
    evidence = _Evidence(likelihood, groups)
    start = np.zeros(evidence.n_logs)
    bounds = [(-_FARTHEST, _FARTHEST / 3)] * len(start)
    found = minimize(lambda logs: evidence.at(logs)[:2], start, jac=True, method="L-BFGS-B", bounds=bounds)
    penalty = evidence.prior(found.x)[0]
    mean, covariance = likelihood.posterior_at(penalty)
    ways, curvature = [], []
    for step in np.eye(len(start)) * _LOG_STEP:
        (_, up, mean_up), (_, down, mean_down) = evidence.at(found.x + step), evidence.at(found.x - step)
        ways.append((mean_up - mean_down) / (2 * _LOG_STEP))
        curvature.append((up - down) / (2 * _LOG_STEP))
    eigenvalues, vectors = np.linalg.eigh((np.array(curvature) + np.array(curvature).T) / 2)
    spread = np.array(ways).T @ (vectors / np.sqrt(np.maximum(eigenvalues, _LEAST_CURVATURE)))
    widening = spread @ spread.T
    degrees = float(np.sum(covariance * likelihood.precision))
    return Posterior(mean, covariance + widening, widening, penalty, -float(found.fun), degrees)


class _Evidence:
    """Evidence of the logarithms of the variances: for each group those of its parts, then those of its members."""

    def __init__(self, likelihood: Likelihood, groups: Sequence[PriorGroup]) -> None:
        self.likelihood = likelihood
        self.n_logs = 0
        self.groups: list[tuple[np.ndarray, list[slice], slice, slice]] = []
        first = 0
        for group in groups:
            n_parts, n = group.kernels.shape[:2]
            own = [slice(first + k * n, first + (k + 1) * n) for k in range(group.n_members)]
            first += n * group.n_members
            seen = [np.einsum("ij,kjl->kil", likelihood.precision[s, s], group.kernels) for s in own]
            # In units of the variance at which the moments are as large as they are, were each part alone.
            power = sum(np.einsum("i,kij,j->k", likelihood.pull[s], group.kernels, likelihood.pull[s]) for s in own)
            variance = sum(np.einsum("kij,kji->k", one, one) for one in seen)
            noise = sum(np.einsum("kii->k", one) for one in seen)
            # A group that the data never meet keeps the unit of its kernels.
            unit = np.divide(np.maximum(power, noise), variance, out=np.ones(n_parts), where=variance > 0)
            kernels = group.kernels * unit[:, None, None]
            ends = list(accumulate((n_parts, group.n_members), initial=self.n_logs))
            self.groups.append((kernels, own, slice(ends[0], ends[1]), slice(ends[1], ends[2])))
            self.n_logs = ends[2]

    def prior(self, logs: np.ndarray) -> tuple[np.ndarray, float, list[np.ndarray]]:
        """Precision, logarithm of the determinant of its inverse, and precision of a member of variance one."""
        blocks, precisions, log_determinant = [], [], 0.0
        for kernels, own, parts, members in self.groups:
            precision, one = _inverse(np.tensordot(np.exp(logs[parts]), kernels, 1))
            blocks += [precision / np.exp(log) for log in logs[members]]
            log_determinant += len(own) * one + len(precision) * logs[members].sum()
            precisions.append(precision)
        return block_diag(*blocks), log_determinant, precisions

    def at(self, logs: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Minus the log evidence, its gradient, and the mean of the coefficients."""
        penalty, log_determinant, precisions = self.prior(logs)
        factor = cho_factor(self.likelihood.precision + penalty)
        mean, covariance = cho_solve(factor, self.likelihood.pull), cho_solve(factor, np.eye(len(penalty)))
        value = log_determinant / 2 + np.log(np.diag(factor[0])).sum() - self.likelihood.pull @ mean / 2
        gradient = np.zeros(self.n_logs)
        for (kernels, own, parts, members), precision in zip(self.groups, precisions, strict=True):
            for place, s in zip(range(members.start, members.stop), own, strict=True):
                drawn = (np.outer(mean[s], mean[s]) + covariance[s, s]) / np.exp(logs[place])
                gradient[place] = (len(precision) - np.sum(precision * drawn)) / 2
                change = precision - precision @ drawn @ precision
                gradient[parts] += np.exp(logs[parts]) * np.einsum("ij,kij->k", change, kernels) / 2
            together = np.logaddexp.reduce(logs[parts])
            share = (logs[parts] - together) / _SHARE_SPREAD**2
            value += share @ share * _SHARE_SPREAD**2 / 2 + logs[members] @ logs[members] / _MEMBER_SPREAD**2 / 2
            gradient[parts] += share - np.exp(logs[parts] - together) * share.sum()
            gradient[members] += logs[members] / _MEMBER_SPREAD**2
        return float(value), gradient, mean


def _inverse(matrix: np.ndarray) -> tuple[np.ndarray, float]:
    """Inverse of a positive matrix whose rows differ by many powers of ten, and the logarithm of its determinant."""
    size = np.sqrt(np.diag(matrix))
    lower = cho_factor(matrix / np.outer(size, size) + _STIFFENING * np.eye(len(size)), lower=True)
    inverse = cho_solve(lower, np.eye(len(size))) / np.outer(size, size)
    return (inverse + inverse.T) / 2, float(2 * np.log(size * np.diag(lower[0])).sum())
