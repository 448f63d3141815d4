"""The parts of the fit, each held to a formula."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import PROBE

from hpcstem.imaging import ideal_image
from hpcstem.segmentation.background import Background, smooth_part
from hpcstem.segmentation.position_noise import position_variance
from hpcstem.segmentation.profile import fit_profile
from hpcstem.segmentation.spot_fit import SpotFit
from hpcstem.segmentation.spots import GAUSSIANS, draw
from hpcstem.structure.graphene import graphene_sheet

PIXEL_A = 0.1


def test_variance_is_that_of_the_whole_inverse():
    """Neighbours only, in closed form, against the inverse of the normal matrix of all atoms, free of background."""
    sites = graphene_sheet(11, 11, 0.1).positions[:, :2] + 2
    true = sites + np.random.default_rng(12).normal(0, 0.05, sites.shape)
    species = np.full(len(sites), "C")
    image = 50 * ideal_image(true, species, (150, 150), PIXEL_A, PROBE)
    image += np.random.default_rng(13).normal(0, 1, image.shape)
    fit = SpotFit(image.astype(np.float32), PIXEL_A, true / PIXEL_A, np.ones(len(sites)))
    fit.sweep(1)
    fit.weigh_pixels()
    fit.sweep(2)
    columns = []
    for a in range(len(sites)):

        def image_of(dx=0.0, dy=0.0, a=a):
            out = np.zeros(image.shape, np.float32)
            draw(out, fit.x[[a]] + dx, fit.y[[a]] + dy, fit.height[[a]], *fit.profile.arrays)
            return (out - smooth_part(out, PIXEL_A, 3.0)).ravel().astype(float)

        columns += [
            image_of() / fit.height[a],
            (image_of(dx=0.05) - image_of(dx=-0.05)) / 0.1,
            (image_of(dy=0.05) - image_of(dy=-0.05)) / 0.1,
        ]
    jacobian = np.array(columns)
    whole = np.linalg.inv((jacobian * fit.weight.ravel()) @ jacobian.T).diagonal().reshape(-1, 3)[:, 1:]
    ours = position_variance(fit)
    ratio = np.sqrt(ours / whole)
    print(f"ratio of standard deviations {ratio.min():.3f} to {ratio.max():.3f}")
    assert ratio.min() > 0.9
    assert ratio.max() < 1.1
    assert np.median(ratio) == pytest.approx(1, abs=0.03)


def test_profile_is_recovered():
    sites = graphene_sheet(24, 24).positions[:, :2] + 2
    x, y, height = sites[:, 0] / PIXEL_A, sites[:, 1] / PIXEL_A, np.ones(len(sites))
    rows, columns = np.mgrid[:280, :280]
    image = np.zeros((280, 280))
    for a in range(len(sites)):
        image += np.exp(-((columns - x[a]) ** 2 + (rows - y[a]) ** 2) * PIXEL_A**2 / 2 / 0.4**2)
    profile = fit_profile((image + 0.3).astype(np.float32), x, y, height, PIXEL_A, 32, 3.0)
    distance = np.arange(12)[:, None]
    found = np.exp(-(distance**2) / 2 / profile.variances) @ profile.shares
    assert profile.is_a_peak
    np.testing.assert_allclose(found, np.exp(-((distance[:, 0] * PIXEL_A) ** 2) / 2 / 0.4**2), atol=0.015)


@given(
    st.lists(st.tuples(st.floats(-8, 38), st.floats(-8, 28), st.floats(0.1, 5)), min_size=1, max_size=4),
    st.integers(3, 24),
)
@settings(max_examples=25, deadline=None)
def test_drawing_is_the_formula(atoms, side):
    """Also for atoms at the edge and beyond."""
    x, y, height = np.array(atoms).T.copy()
    variances, shares = np.array([4, 9, 16, 30], np.float32), np.array([0.5, 0.6, -0.2, 0.1], np.float32)
    assert len(variances) == GAUSSIANS
    image = np.zeros((20, 30), np.float32)
    draw(image, x, y, height, variances, shares, side)
    rows, columns = np.mgrid[:20, :30]
    wanted = np.zeros((20, 30))
    for a in range(len(x)):
        left, top = (max(min(int(np.floor(at)) - side // 2 + 1, n - side), 0) for at, n in ((x[a], 30), (y[a], 20)))
        near = (columns >= left) & (columns < left + side) & (rows >= top) & (rows < top + side)
        squared = (columns - x[a]) ** 2 + (rows - y[a]) ** 2
        wanted += (
            near
            * height[a]
            * np.sum([s * np.exp(-squared / 2 / v) for s, v in zip(shares, variances, strict=True)], axis=0)
        )
    np.testing.assert_allclose(image, wanted, atol=1e-5)


def test_background_takes_slopes_and_leaves_atoms():
    rows, columns = np.mgrid[:200, :160] * PIXEL_A
    smooth = 3 + 0.2 * columns - 0.1 * rows + np.cos(columns / 4) * np.sin(rows / 5)
    np.testing.assert_allclose(smooth_part(smooth.astype(np.float32), PIXEL_A, 3.0), smooth, atol=0.02)
    field = Background(smooth.shape, PIXEL_A, 3.0)
    np.testing.assert_allclose(field.image(field.coefficients(smooth), 4), smooth[2::4, 2::4], atol=0.02)
    atom = np.exp(-((columns - 8) ** 2 + (rows - 9) ** 2) / 2 / 0.4**2)
    assert np.abs(smooth_part(atom.astype(np.float32), PIXEL_A, 3.0)).max() < 0.2
