"""The smooth part of a frame: cubic B-splines on a coarse grid, by least squares."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.interpolate import BSpline


def smooth_part(image: np.ndarray, pixel_size_A: float, spacing_A: float) -> np.ndarray:
    """Least-squares fit of an image by a smooth field.

    Parameters
    ----------
    image
        With shape (rows, columns), float32.
    pixel_size_A
        Pixel size [Å].
    spacing_A
        Distance of the splines' knots [Å]; what is smaller than about twice as much stays in the image.

    Returns
    -------
    numpy.ndarray
        With shape (rows, columns), float32.
    """
    splines_y, fit_y = _splines(image.shape[0], pixel_size_A, spacing_A)
    splines_x, fit_x = _splines(image.shape[1], pixel_size_A, spacing_A)
    return splines_y @ (fit_y @ image @ fit_x.T) @ splines_x.T


@lru_cache(maxsize=16)
def _splines(n: int, pixel_size_A: float, spacing_A: float) -> tuple[np.ndarray, np.ndarray]:
    """Splines along one axis, with shape (n, n_splines), and their pseudo-inverse, float32."""
    n_intervals = max(round(n * pixel_size_A / spacing_A), 1)
    knots = (np.arange(-3, n_intervals + 4) / n_intervals) * n - 0.5
    splines = BSpline.design_matrix(np.arange(n), knots, 3).toarray()
    pair = splines.astype(np.float32), np.linalg.pinv(splines).astype(np.float32)
    for array in pair:
        array.setflags(write=False)
    return pair
