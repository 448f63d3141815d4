r"""What the moments say of the coefficients, before any prior.

The moments Zᵀv are normal about D h with the covariance s² ZᵀZ / n, so that the coefficients have the
precision :math:`P = (n / s^2) D^T (Z^T Z)^{-1} D` and a normal likelihood; for Euler's rule, where D = ZᵀZ,
that is ordinary least squares, for the other rules two-stage least squares [1]_.

References
----------
.. [1] J. M. Wooldridge, Econometric Analysis of Cross Section and Panel Data, 2nd ed. (2010), chapter 8.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigh

from hpcstem.errors import StructureError
from hpcstem.potentials.equations import EquationSums

_SILENT = 1e-7
"""Directions with less than this part of the largest eigenvalue count as not seen: products are in single precision."""


@dataclass(frozen=True)
class Likelihood:
    """What the data say of the coefficients.

    Parameters
    ----------
    precision
        With shape (n_unknowns, n_unknowns), float64.
    pull
        Precision times the estimate without a prior, with shape (n_unknowns,), float64.
    noise
        Covariance of the moments over ZᵀZ.
    """

    precision: np.ndarray
    pull: np.ndarray
    noise: float

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
        noise = noise_power * sums.weight / n_values
        return cls(design.T @ design / noise, design.T @ moment / noise, float(noise))

    def with_noise(self, ratio: float) -> Likelihood:
        """Return the same for moments whose variance is `ratio` times what white noise would give."""
        return replace(self, precision=self.precision / ratio, pull=self.pull / ratio)

    @classmethod
    def of_moments(cls, design: np.ndarray, noise: np.ndarray, moment: np.ndarray) -> Likelihood:
        """Likelihood of moments that are linear in the coefficients.

        Parameters
        ----------
        design
            What takes the coefficients to the moments, with shape (n_unknowns, n_unknowns), float64.
        noise
            Covariance of the moments, with the same shape.
        moment
            The moments, with shape (n_unknowns,), float64.
        """
        whitener = whitening(noise)
        seen = whitener.T @ design
        return cls(seen.T @ seen, seen.T @ (whitener.T @ moment), 1.0)

    def posterior_at(self, penalty: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance of the coefficients under a prior of that precision."""
        factor = cho_factor(self.precision + penalty)
        return cho_solve(factor, self.pull), cho_solve(factor, np.eye(len(penalty)))


def whitening(gram: np.ndarray) -> np.ndarray:
    """Matrix W with WᵀGW = 1 on the directions that the Gram matrix G sees, shape (n_unknowns, n_seen)."""
    # With columns of one length, so that a function that is rarely met is not taken for a silent one.
    length = np.sqrt(np.diag(gram))
    scale = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
    eigenvalues, vectors = eigh(gram * np.outer(scale, scale))
    seen = eigenvalues > _SILENT * max(eigenvalues[-1], np.finfo(float).tiny)
    return scale[:, None] * vectors[:, seen] / np.sqrt(eigenvalues[seen])
