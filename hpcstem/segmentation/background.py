"""The smooth part of a frame: cubic B-splines on a coarse grid, by least squares."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.interpolate import BSpline
from scipy.linalg import orth


class Background:
    """Smooth fields over images of one shape: what is smaller than about twice the distance of knots is none of them.

    Parameters
    ----------
    shape
        Rows and columns of the images.
    pixel_size_A
        Pixel size [Å].
    spacing_A
        Distance of the splines' knots [Å].
    """

    def __init__(self, shape: tuple[int, ...], pixel_size_A: float, spacing_A: float) -> None:
        self._along_y, self._along_x = (_orthonormal(n, pixel_size_A, spacing_A) for n in shape)

    def coefficients(self, image: np.ndarray) -> np.ndarray:
        """Least-squares fit of an image with shape (rows, columns), float32."""
        return np.asarray(self._along_y.T @ image @ self._along_x)

    def image(self, coefficients: np.ndarray, step: int = 1) -> np.ndarray:
        """Field of such coefficients, in the middle pixel of each square of `step` rows and columns, float32."""
        chosen = slice(step // 2, None, step)
        return np.asarray(self._along_y[chosen] @ coefficients @ self._along_x[chosen].T)


def smooth_part(image: np.ndarray, pixel_size_A: float, spacing_A: float) -> np.ndarray:
    """Least-squares fit of an image by a smooth field, see `Background`; with shape (rows, columns), float32."""
    background = Background(image.shape, pixel_size_A, spacing_A)
    return background.image(background.coefficients(image))


@lru_cache(maxsize=16)
def _orthonormal(n: int, pixel_size_A: float, spacing_A: float) -> np.ndarray:
    """Orthonormal basis of the splines along one axis, with shape (n, n_splines), float32."""
    n_intervals = max(round(n * pixel_size_A / spacing_A), 1)
    knots = (np.arange(-3, n_intervals + 4) / n_intervals) * n - 0.5
    basis = orth(BSpline.design_matrix(np.arange(n), knots, 3).toarray()).astype(np.float32)
    basis.setflags(write=False)
    return np.asarray(basis)
