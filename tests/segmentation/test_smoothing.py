"""Smoothing and sorting in single precision against scipy and numpy."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from hpcstem.segmentation.normalise import quantiles
from hpcstem.segmentation.smoothing import smoothed

SIDES = st.integers(1, 40)


@settings(max_examples=30, deadline=None)
@given(SIDES, SIDES, st.floats(0, 6))
def test_smoothing_is_that_of_scipy(rows, columns, sigma_px):
    """Also where the image is smaller than the Gaussian, and mirrored more than once."""
    image = np.random.default_rng(rows * columns).normal(size=(rows, columns)).astype(np.float32)
    out = smoothed(image, sigma_px)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, ndimage.gaussian_filter(image, sigma_px), atol=2e-6)


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=50), st.lists(st.floats(0, 1), min_size=1))
def test_quantiles_are_those_of_numpy(numbers, shares):
    ordered = np.sort(np.array(numbers, np.float32))
    np.testing.assert_allclose(quantiles(ordered, shares), np.quantile(ordered.astype(float), shares), atol=1e-9)
