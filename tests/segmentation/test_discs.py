"""Discs around points against the same written with whole images."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcstem.segmentation.discs import moments, squared_distance

SHAPE = (18, 23)
CENTRES = st.lists(st.tuples(st.floats(-4, 22), st.floats(-4, 27)), max_size=4)


@settings(max_examples=30, deadline=None)
@given(CENTRES, st.floats(0.5, 5))
def test_moments(centres, radius_px):
    images = np.random.default_rng(3).random((2, *SHAPE), np.float32)
    rows, columns = np.indices(SHAPE)
    centre = np.array(centres).reshape(-1, 2)
    area, mass, displacement, highest = moments(images, centre, radius_px)
    for i, (row, column) in enumerate(centre):
        share = np.clip(radius_px + 0.5 - np.hypot(rows - row, columns - column), 0, 1)
        assert abs(area[i] - share.sum()) < 1e-9
        for k, image in enumerate(images):
            total = (share * image).sum()
            assert abs(mass[k, i] - total) < 1e-5
            assert highest[k, i] == np.where(share > 0, image, 0).max()
            if total > 1e-2:
                wanted = [
                    (share * image * at).sum() / total - (share * at).sum() / share.sum() for at in (rows, columns)
                ]
                np.testing.assert_allclose(displacement[k, i], wanted, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(CENTRES, st.floats(0.5, 6))
def test_squared_distance(centres, reach_px):
    centre = np.array(centres).reshape(-1, 2)
    pixels = np.moveaxis(np.indices(SHAPE), 0, -1)
    wanted = np.full(SHAPE, np.inf)
    for point in centre:
        wanted = np.minimum(wanted, ((pixels - point) ** 2).sum(axis=-1))
    found = squared_distance(SHAPE, centre, reach_px)
    near = wanted <= reach_px**2
    np.testing.assert_allclose(found[near], wanted[near], rtol=1e-12)
    assert (found[~near] > reach_px**2).all()
