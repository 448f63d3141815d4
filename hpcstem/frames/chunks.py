"""Chunks of a movie: the batches of frames that workers take."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from hpcstem.errors import MovieError
from hpcstem.frames.movie import Movie


@dataclass(frozen=True, order=True)
class FrameRange:
    """Frames `start` to `stop - 1`.

    Raises
    ------
    MovieError
        Not 0 <= start < stop.
    """

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise MovieError("range of frames", f"{self.start} to {self.stop}", "0 <= start < stop")

    def __len__(self) -> int:
        return self.stop - self.start


def plan_chunks(movie: Movie, target_bytes: int) -> list[FrameRange]:
    """Cut a movie into chunks of nearly equal length that cover every frame once, in order.

    The plan depends on the movie and the target alone, never on the number of workers.

    Parameters
    ----------
    movie
        The movie.
    target_bytes
        Largest size of a chunk in memory as float32 [byte]; a single frame may be larger.

    Raises
    ------
    MovieError
        The target is not positive.
    """
    if target_bytes <= 0:
        raise MovieError(
            "target_bytes of the chunk plan", target_bytes, "a positive number of bytes, for example 64000000"
        )
    frame_bytes = movie.shape[0] * movie.shape[1] * 4
    most = max(1, target_bytes // frame_bytes)
    n_chunks = -(-movie.n_frames // most)
    bounds = [index * movie.n_frames // n_chunks for index in range(n_chunks + 1)]
    return [FrameRange(start, stop) for start, stop in itertools.pairwise(bounds)]
