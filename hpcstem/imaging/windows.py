"""Square windows of a frame around points between its pixels."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import map_coordinates


def cut_windows(frame: np.ndarray, centres_px: np.ndarray, n_pixels: int, step_px: float) -> np.ndarray:
    """Cut a window around each point, by linear interpolation.

    Parameters
    ----------
    frame
        With shape (rows, columns).
    centres_px
        Column and row of the points [px], with shape (n, 2), float64.
    n_pixels
        Side of the windows, in pixels of their own.
    step_px
        Size of these, in pixels of the frame.

    Returns
    -------
    numpy.ndarray
        With shape (n, n_pixels, n_pixels), float32; 0 beyond the frame.
    """
    offset = (np.arange(n_pixels) - (n_pixels - 1) / 2.0) * step_px
    columns, rows = np.asarray(centres_px, np.float64).T
    shape = (len(rows), n_pixels, n_pixels)
    points = [
        np.broadcast_to((rows[:, None] + offset)[:, :, None], shape),
        np.broadcast_to((columns[:, None] + offset)[:, None, :], shape),
    ]
    windows = map_coordinates(np.asarray(frame, np.float64), points, order=1, mode="constant", cval=0.0)
    return np.asarray(windows, np.float32)
