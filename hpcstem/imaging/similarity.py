"""How alike two images are.

References
----------
.. [1] Z. Wang et al., Image quality assessment, IEEE Trans. Image Process. 13, 600 (2004),
   https://doi.org/10.1109/TIP.2003.819861
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

_WINDOW_PX = 1.5
"""Standard deviation of the window of the structural similarity, as in [1]_ [px]."""


def structural_similarity(one: np.ndarray, other: np.ndarray, span: float) -> float:
    """Mean structural similarity of two images in the disc inside them [1]_, 1 where they are equal.

    Parameters
    ----------
    one, other
        Square images, with equal shapes (n, n), float64.
    span
        Range of their values, which sets the size of the stabilising constants.
    """

    def smooth(values: np.ndarray) -> np.ndarray:
        return np.asarray(gaussian_filter(values, _WINDOW_PX))

    mean_a, mean_b = smooth(one), smooth(other)
    variance_a, variance_b = smooth(one**2) - mean_a**2, smooth(other**2) - mean_b**2
    covariance = smooth(one * other) - mean_a * mean_b
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    score = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    score /= (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    return float(score[inner_disc(len(one))].mean())


def inner_disc(n_pixels: int) -> np.ndarray:
    """Pixels inside the circle that a turn leaves in place, less one pixel, with shape (n_pixels, n_pixels), bool."""
    offset = np.arange(n_pixels) - (n_pixels - 1) / 2.0
    return np.asarray(np.hypot(offset[:, None], offset) <= (n_pixels - 1) / 2.0 - 1.0)
