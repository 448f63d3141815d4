"""Pixel size of a frame of graphene, from the spots of its spectrum."""

from __future__ import annotations

import numpy as np

_ROW_DISTANCE_A = 1.5 * 1.42
"""Distance of the rows of graphene that give the innermost spots of its spectrum [Å]."""

_FEWEST_ROWS = 4
_LEAST_PROMINENCE = 50.0


def lattice_pixel_size_A(frame: np.ndarray) -> float | None:
    """Pixel size at which the brightest spot of a frame's spectrum is that of graphene [Å].

    The spot lies within half a cycle per field, so a field of n rows gives the pixel size to about 1/2n.

    Parameters
    ----------
    frame
        Intensities, with shape (rows, columns), finite.

    Returns
    -------
    float or None
        None where no spot stands out.
    """
    rows, columns = frame.shape
    window = np.hanning(rows)[:, None] * np.hanning(columns)
    power = np.abs(np.fft.rfft2((frame - frame.mean()) * window)) ** 2
    cycles_per_px = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns))
    outer = cycles_per_px * min(rows, columns) >= _FEWEST_ROWS
    stands_out = outer & (power > _LEAST_PROMINENCE * np.median(power[outer]))
    if not stands_out.any():
        return None
    # The slow changes of contamination grow towards low frequencies; the factor holds them down.
    spot = np.argmax(np.where(stands_out, power * cycles_per_px, 0))
    return float(_ROW_DISTANCE_A * cycles_per_px.flat[spot])
