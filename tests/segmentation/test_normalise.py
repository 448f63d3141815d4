"""One scale for every frame."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcstem.imaging import Acquisition, Probe, simulate_movie
from hpcstem.segmentation.normalise import normalise


@pytest.fixture(scope="module")
def frames():
    acquisition = Acquisition(dose_e_per_A2=4e5)
    return simulate_movie("m", 2, (256, 264), 0.16, Probe(), acquisition, np.random.SeedSequence(1))[0]


def test_median_and_contrast(frames):
    out = normalise(frames, 0.16)
    assert out.dtype == np.float32
    assert out.shape == frames.shape
    np.testing.assert_allclose(np.median(out, axis=(1, 2)), 0, atol=1e-6)
    assert ((out.std(axis=(1, 2)) > 0.3) & (out.std(axis=(1, 2)) < 3)).all()


@settings(max_examples=20, deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(-5, 5))
def test_gain_and_offset(gain, offset_in_spans):
    frame = np.random.default_rng(2).normal(size=(1, 96, 96)).cumsum(axis=1)
    changed = gain * (frame + offset_in_spans * np.ptp(frame))
    np.testing.assert_allclose(normalise(changed, 0.16), normalise(frame, 0.16), atol=2e-4)


@pytest.mark.parametrize("height", [1e2, 1e4, 1e6])
def test_one_hot_pixel_changes_nothing_elsewhere(frames, height):
    hot = frames[:1].copy()
    hot[0, 40, 50] = height * frames.max()
    difference = np.abs(normalise(hot, 0.16) - normalise(frames[:1], 0.16))[0]
    difference[40, 50] = 0
    assert difference.max() < 1e-3


def test_many_hot_pixels_change_little_elsewhere(frames, rng):
    """One pixel in a thousand; at one time five of them took the contrast of a frame to a tenth."""
    hot = frames[0].copy()
    places = rng.integers(hot.size, size=hot.size // 1000)
    hot.ravel()[places] = 1e4 * frames.max()
    change = normalise(hot[None], 0.16)[0] - normalise(frames[:1], 0.16)[0]
    change.ravel()[places] = 0
    assert np.abs(change).max() < 0.05


def test_one_dead_pixel_changes_nothing_elsewhere(frames):
    dead = frames[:1].copy()
    dead[0, 40, 50] = 0
    difference = np.abs(normalise(dead, 0.16) - normalise(frames[:1], 0.16))[0]
    difference[40, 50] = 0
    assert difference.max() < 1e-3


def test_frames_do_not_affect_each_other(frames):
    together = normalise(np.stack([frames[0], frames[1] * 1e5]), 0.16)
    np.testing.assert_array_equal(together[0], normalise(frames[:1], 0.16)[0])
    np.testing.assert_allclose(together[1], normalise(frames[1:2], 0.16)[0], atol=1e-4)


def test_flat_frame_stays_finite():
    assert (normalise(np.full((1, 32, 32), 5.0), 0.16) == 0).all()
