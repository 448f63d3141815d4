"""Electron dose of a movie.

dose = beam current x frame time / frame area, in electrons per Å², with e = 1.602176634e-19 C exactly [1]_.

References
----------
.. [1] BIPM, The International System of Units, 9th edition (2019), section 2.2.
"""

from __future__ import annotations

import numpy as np

from hpcstem.errors import MovieError
from hpcstem.frames.metadata import MovieMetadata
from hpcstem.frames.movie import Movie

ELEMENTARY_CHARGE_C = 1.602176634e-19
"""Charge of the electron [C]."""


def frame_time_s(metadata: MovieMetadata, shape: tuple[int, int]) -> float | None:
    """Return the time of one frame [s]; None where neither frame time nor dwell time is known.

    From the dwell time alone it is dwell time x pixels, which leaves out the flyback: a lower bound.

    Parameters
    ----------
    metadata
        Of the movie; its frame time wins.
    shape
        Rows and columns of a frame.
    """
    if metadata.frame_time_s is not None:
        return metadata.frame_time_s
    if metadata.dwell_time_us is not None:
        return metadata.dwell_time_us * 1e-6 * shape[0] * shape[1]
    return None


def electrons_per_frame(movie: Movie) -> float:
    """Return the number of electrons sent to the sample in one frame.

    Raises
    ------
    MovieError
        Beam current, or both frame time and dwell time, are unknown.
    """
    current_pA = movie.metadata.beam_current_pA
    if current_pA is None:
        raise MovieError(f"beam current of {movie.path}", "none in the file", "beam_current_pA, for example 20")
    time_s = frame_time_s(movie.metadata, movie.shape)
    if time_s is None:
        raise MovieError(
            f"frame time of {movie.path}", "none in the file", "frame_time_s or dwell_time_us, for example 17"
        )
    return current_pA * 1e-12 * time_s / ELEMENTARY_CHARGE_C


def dose_per_frame(movie: Movie) -> float:
    """Return the dose of one frame [e⁻/Å²].

    Raises
    ------
    MovieError
        Beam current, frame time or pixel size is unknown.
    """
    area_A2 = movie.shape[0] * movie.shape[1] * movie.require_pixel_size() ** 2
    return electrons_per_frame(movie) / area_A2


def accumulated_dose(movie: Movie) -> np.ndarray:
    """Return the dose that the sample has had at the end of each frame [e⁻/Å²].

    Returns
    -------
    numpy.ndarray
        With shape (n_frames,), float64.

    Raises
    ------
    MovieError
        Beam current, frame time or pixel size is unknown.
    """
    return dose_per_frame(movie) * np.arange(1, movie.n_frames + 1)
