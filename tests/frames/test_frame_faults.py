"""Frames that cannot be used are named, and the others read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hpcstem.errors import MovieError
from hpcstem.frames import FaultKind, FrameFault, check_frame, open_movie

FINITE = st.floats(-1e6, 1e6, width=32)


@given(arrays(np.float32, (5, 6), elements=FINITE))
def test_finite_frames_pass_unless_constant(frame):
    kind = check_frame(frame)
    if np.unique(frame).size > 1:
        assert kind is None
    else:
        assert kind is (FaultKind.CONSTANT if frame[0, 0] else FaultKind.EMPTY)


@given(arrays(np.float32, (5, 6), elements=FINITE), st.integers(0, 29), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_one_bad_pixel_is_found(frame, position, value):
    frame.flat[position] = value
    assert check_frame(frame) is FaultKind.NON_FINITE


def test_integers_and_nothing():
    assert check_frame(np.zeros((4, 4), np.uint16)) is FaultKind.EMPTY
    assert check_frame(np.empty((0, 4))) is FaultKind.EMPTY


@pytest.fixture
def broken(tmp_path, frames):
    """A truncated file: frames 1, 2, 3 are damaged, 5 is cut, 6 is lost."""
    frames[1, 3, 4] = np.nan
    frames[2] = 0
    frames[3] = 5
    np.save(tmp_path / "m.npy", frames)
    data = (tmp_path / "m.npy").read_bytes()
    (tmp_path / "m.npy").write_bytes(data[: len(data) - frames[0].nbytes - 100])
    return tmp_path / "m.npy"


def test_faults_are_named_and_the_others_read(broken, frames):
    good, indices, faults = open_movie(broken).read_checked(0, 7)
    assert faults == [
        FrameFault(1, FaultKind.NON_FINITE),
        FrameFault(2, FaultKind.EMPTY),
        FrameFault(3, FaultKind.CONSTANT),
        FrameFault(5, FaultKind.TRUNCATED),
        FrameFault(6, FaultKind.TRUNCATED),
    ]
    assert indices.tolist() == [0, 4]
    np.testing.assert_array_equal(good, frames[[0, 4]])


def test_read_refuses_broken_frames_by_movie_frame_and_fault(broken):
    movie = open_movie(broken)
    with pytest.raises(MovieError, match=r"movie m .*frame 1 non-finite, frame 2 empty"):
        movie.read(0, 4)
    with pytest.raises(MovieError, match=r"frame 5 truncated"):
        movie.read(4, 6)
    assert movie.read(4, 5).shape == (1, 24, 32)


def test_a_range_without_a_good_frame_gives_empty_arrays(broken):
    good, indices, faults = open_movie(broken).read_checked(5, 7)
    assert good.shape == (0, 24, 32)
    assert good.dtype == np.float32
    assert indices.shape == (0,)
    assert len(faults) == 2


def test_a_double_beyond_float32_is_not_finite(tmp_path):
    frames = np.ones((1, 8, 8))
    frames[0, 0, 0] = 1e300
    np.save(tmp_path / "m.npy", frames)
    assert open_movie(tmp_path / "m.npy").read_checked(0, 1)[2] == [FrameFault(0, FaultKind.NON_FINITE)]
