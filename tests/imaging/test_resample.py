"""Resampling keeps means and places."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcstem.imaging.resample import resample, resampled_length, to_pixels

pixel_sizes_A = st.floats(0.04, 0.4)


@given(pixel_sizes_A, pixel_sizes_A, st.floats(-0.5, 2000))
def test_to_pixels_keeps_the_outer_edge_and_goes_back(old_A, new_A, position):
    there = to_pixels(position, old_A, new_A)
    assert (there + 0.5) * new_A == pytest.approx((position + 0.5) * old_A, abs=1e-9)
    assert to_pixels(there, new_A, old_A) == pytest.approx(position, abs=1e-9)


@given(pixel_sizes_A, pixel_sizes_A, st.integers(20, 80), st.integers(20, 80))
def test_shape_and_flat_frames(old_A, new_A, rows, columns):
    frames = np.full((2, rows, columns), 7.5, np.float32)
    out = resample(frames, old_A, new_A)
    assert out.dtype == np.float32
    assert out.shape == (2, resampled_length(rows, old_A, new_A), resampled_length(columns, old_A, new_A))
    assert out.shape[1] * new_A <= rows * old_A * (1 + 1e-6) or out.shape[1] == 1
    np.testing.assert_allclose(out, 7.5, rtol=1e-5)


@given(st.floats(1.0, 5.0), st.integers(0, 2**32 - 1))
def test_coarsening_keeps_the_integral_of_the_area_covered(ratio, seed):
    frame = np.random.default_rng(seed).random((37, 53))
    out = resample(frame, 0.1, 0.1 * ratio)
    rows, columns = (
        np.clip(n_new * ratio - np.arange(n_old), 0, 1) for n_new, n_old in zip(out.shape, frame.shape, strict=True)
    )
    assert float(out.sum(dtype=float)) * ratio**2 == pytest.approx(rows @ frame @ columns, rel=1e-4)


@given(pixel_sizes_A, pixel_sizes_A)
def test_a_ramp_stays_in_place(old_A, new_A):
    """The value at a new pixel is the old coordinate of the same point.

    To finer pixels exactly; an area average of a staircase is off by at most 1/8 of an old pixel over the ratio.
    """
    ramp = np.broadcast_to(np.arange(60.0), (40, 60))
    out = resample(ramp, old_A, new_A)
    where = to_pixels(np.arange(out.shape[1]), new_A, old_A)
    inside = (where > 0) & (where < 59)
    largest = 1e-3 if new_A <= old_A else 1 / 8 / (new_A / old_A) + 1e-3
    assert np.abs(out[:, inside] - where[inside]).max(initial=0) <= largest


@pytest.mark.parametrize(("old_A", "new_A"), [(0.06, 0.16), (0.1, 0.16), (0.16, 0.16), (0.25, 0.16), (0.3, 0.16)])
def test_a_spot_stays_in_place(old_A, new_A):
    n = round(12 / old_A)
    for true_px in np.random.default_rng(1).uniform(0.4 * n, 0.6 * n, (5, 2)):
        y, x = np.mgrid[:n, :n]
        spot = np.exp(-((x - true_px[0]) ** 2 + (y - true_px[1]) ** 2) / 2 / (0.5 / old_A) ** 2)
        out = resample(spot, old_A, new_A).astype(float)
        y, x = np.mgrid[: out.shape[0], : out.shape[1]]
        found = np.array([(out * x).sum(), (out * y).sum()]) / out.sum()
        np.testing.assert_allclose(found, to_pixels(true_px, old_A, new_A), atol=0.01)


@pytest.mark.parametrize("ratio", [2, 3])
def test_white_noise_stays_white(ratio):
    noise = np.random.default_rng(2).normal(size=(900, 900))
    out = resample(noise, 0.1, 0.1 * ratio)
    assert out.var() == pytest.approx(1 / ratio**2, rel=0.03)
    for shift in ((0, 1), (1, 0), (1, 1), (0, 2)):
        assert abs((out * np.roll(out, shift, (0, 1))).mean() / out.var()) < 0.02


def test_white_noise_stays_nearly_white_between_whole_ratios():
    """Neighbours share one old pixel at most: correlation below 1/4 at lag 1 on average, none beyond."""
    noise = np.random.default_rng(3).normal(size=(900, 900))
    for ratio in (1.07, 1.5, 2.4):
        out = resample(noise, 0.1, 0.1 * ratio)
        assert 0 < (out * np.roll(out, 1, 1)).mean() / out.var() < 0.27
        assert abs((out * np.roll(out, 2, 1)).mean() / out.var()) < 0.02


def test_same_size_is_the_same():
    frames = np.random.default_rng(4).random((2, 9, 11)).astype(np.float32)
    np.testing.assert_array_equal(resample(frames, 0.1, 0.1), frames)


def test_far_too_coarse_gives_one_pixel():
    assert resample(np.ones((8, 8)), 0.1, 5.0).shape == (1, 1)
