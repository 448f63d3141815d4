"""Chunk plans cover every frame once."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcstem.errors import MovieError
from hpcstem.frames import FrameRange, Movie, MovieMetadata, plan_chunks


def movie(n_frames: int, rows: int, columns: int) -> Movie:
    return Movie("m", Path("/nowhere/m.npy"), n_frames, (rows, columns), np.dtype(np.uint16), MovieMetadata())


@given(st.integers(1, 500), st.integers(2, 40), st.integers(2, 40), st.integers(1, 10**6))
def test_plan_covers_every_frame_once_within_the_target(n_frames, rows, columns, target_bytes):
    plan = plan_chunks(movie(n_frames, rows, columns), target_bytes)
    assert [frame for chunk in plan for frame in range(chunk.start, chunk.stop)] == list(range(n_frames))
    assert all(len(chunk) == 1 or len(chunk) * rows * columns * 4 <= target_bytes for chunk in plan)
    assert max(map(len, plan)) - min(map(len, plan)) <= 1


def test_published_movie_in_chunks_of_64_megabytes():
    plan = plan_chunks(movie(100, 896, 896), 64_000_000)
    assert len(plan) == 6
    assert plan[0].start == 0
    assert plan[-1].stop == 100


@pytest.mark.parametrize("target_bytes", [0, -1])
def test_target_must_be_positive(target_bytes):
    with pytest.raises(MovieError, match="target_bytes"):
        plan_chunks(movie(3, 8, 8), target_bytes)


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (2, 2), (3, 2)])
def test_ranges_check_themselves(start, stop):
    with pytest.raises(MovieError, match="range of frames"):
        FrameRange(start, stop)
