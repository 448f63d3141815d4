"""The radial profile that all atoms of a frame share: the probe, as the frame itself shows it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hpcstem.segmentation.background import smooth_part
from hpcstem.segmentation.spots import draw_each

WIDTHS_A = (0.3, 0.45, 0.7, 1.05)
"""Standard deviations of the Gaussians that make up a profile [Å]: from finer than any probe to its tails."""
_RIDGE = 1e-6


@dataclass(frozen=True)
class Profile:
    """Sum over k of shares[k] * exp(-d² / (2 variances[k])).

    Parameters
    ----------
    variances
        Of each Gaussian [px²], with shape (n_gaussians,), float32.
    shares
        Height of each Gaussian in an atom of unit height, with shape (n_gaussians,), float32; may be negative.
    side
        Of the square that an atom is drawn in [px].
    """

    variances: np.ndarray
    shares: np.ndarray
    side: int

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Variances, shares and side, as the kernels take them."""
        return self.variances, self.shares, self.side

    @property
    def is_a_peak(self) -> bool:
        """Whether it falls from the middle outwards, as far as half the width of its widest Gaussian."""
        value = self.at(np.linspace(0, np.sqrt(self.variances.max()) / 2, 9))
        return bool(np.isfinite(value).all() and value[-1] > 0 and (np.diff(value) < 0).all())

    def at(self, distance_px: np.ndarray) -> np.ndarray:
        """Value at distances from the middle [px], with shape (n,)."""
        return np.asarray(np.exp(-(distance_px[:, None] ** 2) / 2 / self.variances) @ self.shares)

    @property
    def volume(self) -> float:
        """Integral over the square [px²]."""
        along = np.array([math.erf(self.side / math.sqrt(8 * variance)) for variance in self.variances])
        return float(2 * np.pi * (self.shares * self.variances * along**2).sum())


def fit_profile(
    image: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    height: np.ndarray,
    pixel_size_A: float,
    side: int,
    spacing_A: float,
) -> Profile:
    """Least-squares shares of the Gaussians, with a smooth background free beside them.

    Parameters
    ----------
    image
        With shape (rows, columns), float32.
    x, y, height
        Columns, rows [px] and heights of the atoms, with shape (n,), float64.
    pixel_size_A
        Pixel size [Å].
    side
        Of the square that an atom is drawn in [px].
    spacing_A
        Distance of the background's knots [Å].
    """
    variances = ((np.array(WIDTHS_A) / pixel_size_A) ** 2).astype(np.float32)
    basis = np.zeros((len(variances), *image.shape), np.float32)
    draw_each(basis, x, y, height, variances, side)
    for image_of_one in basis:
        image_of_one -= smooth_part(image_of_one, pixel_size_A, spacing_A)
    flat = basis.reshape(len(variances), -1)
    normal = (flat @ flat.T).astype(float)
    # The basis is free of anything smooth, so that the image need not be.
    shares = np.linalg.solve(normal + _RIDGE * np.trace(normal) * np.eye(len(normal)), flat @ image.ravel())
    return Profile(variances, shares.astype(np.float32), side)
