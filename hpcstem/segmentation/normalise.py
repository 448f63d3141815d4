"""One robust scale for every frame, whatever the gain, offset and hot pixels of its detector."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

_SMOOTHING_A = 0.4


def normalise(frames: np.ndarray, pixel_size_A: float) -> np.ndarray:
    """Bring each frame to median 0 and unit contrast.

    Contrast is the distance between the 5th and 95th percentile after smoothing by a Gaussian of 0.4 Å, so that it
    follows the lattice and not the noise, and single hot pixels do not count. Frames do not affect each other.

    Parameters
    ----------
    frames
        With shape (n, rows, columns), finite.
    pixel_size_A
        Pixel size [Å].

    Returns
    -------
    numpy.ndarray
        With shape (n, rows, columns), float32.
    """
    frames = np.asarray(frames, np.float32)
    out = np.empty_like(frames)
    for i, frame in enumerate(frames):
        # By rank, not by height: hot pixels must not decide where hot begins.
        clipped = np.clip(frame, *np.percentile(frame, [0.5, 99.5], method="nearest"))
        smooth = ndimage.gaussian_filter(clipped, _SMOOTHING_A / pixel_size_A)
        low, high = np.percentile(smooth, [5, 95])
        out[i] = (frame - np.median(frame)) / max(high - low, np.finfo(np.float32).tiny)
    return np.clip(out, -30, 30)
