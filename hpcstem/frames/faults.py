"""Frames that cannot be used, and why."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np


class FaultKind(enum.StrEnum):
    """Why a frame cannot be used."""

    TRUNCATED = "truncated"
    """The file ends, or a stored chunk is missing or damaged, before the frame is whole."""
    EMPTY = "empty"
    """Every pixel is zero: nothing was recorded."""
    CONSTANT = "constant"
    """Every pixel has the same value, which is not zero: not an image."""
    NON_FINITE = "non-finite"
    """A pixel is NaN or infinite."""


@dataclass(frozen=True, order=True)
class FrameFault:
    """One frame that cannot be used.

    Parameters
    ----------
    frame
        Index of the frame in its movie.
    kind
        Why.
    """

    frame: int
    kind: FaultKind


def check_frame(frame: np.ndarray) -> FaultKind | None:
    """Look at the pixels of one frame.

    Parameters
    ----------
    frame
        Intensities, with shape (rows, columns), a real dtype.

    Returns
    -------
    FaultKind or None
        What is wrong; None for a frame that can be used. A frame without pixels is empty.
    """
    if frame.size == 0:
        return FaultKind.EMPTY
    # NaN goes through both, and an infinity is one of them: two passes and no temporary array.
    lowest, highest = float(frame.min()), float(frame.max())
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        return FaultKind.NON_FINITE
    if lowest == highest:
        return FaultKind.EMPTY if lowest == 0 else FaultKind.CONSTANT
    return None
